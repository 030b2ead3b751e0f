"""What the connection says: from which address, and whether an answer on it may hold a secret (K9, K11).

A secret goes over HTTPS, to this machine, or through a listed proxy that says `https`.
"""

from collections.abc import Mapping
from typing import Any, Final

from keyturn.api.client_address import client_address
from keyturn.core.allowlist import Matcher

_LOOPBACK: Final = Matcher(("127.0.0.0/8", "::1/128"))
_FORWARDED_PROTO: Final = b"x-forwarded-proto"
_FORWARDED_FOR: Final = b"x-forwarded-for"


def is_secure(scope: Mapping[str, Any], proxies: Matcher) -> bool:
    """Whether nobody on the way can read the answer, as far as we can tell.

    A listed proxy speaks for the way beyond it, also where it runs on this very machine.
    """
    client = scope.get("client")
    peer = client[0] if client else ""
    said = [value.strip().lower() for name, value in scope["headers"] if name == _FORWARDED_PROTO]
    if proxies.admits(peer) and (said or scope["scheme"] != "https"):
        return said == [b"https"]
    return scope["scheme"] == "https" or _LOOPBACK.admits(peer)


def address_of(scope: Mapping[str, Any], proxies: Matcher) -> str | None:
    """The client's address, or None where it cannot be known."""
    client = scope.get("client")
    said = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED_FOR]
    return client_address(client[0] if client else None, said, proxies=proxies)
