"""Whether an answer may hold a secret: over HTTPS, to this machine, or through a listed proxy that says so (K11)."""

from collections.abc import Mapping
from typing import Any, Final

from keyturn.core.allowlist import Matcher

_LOOPBACK: Final = Matcher(("127.0.0.0/8", "::1/128"))
_FORWARDED_PROTO: Final = b"x-forwarded-proto"
_FORWARDED: Final = frozenset({b"x-forwarded-proto", b"x-forwarded-for", b"x-forwarded-host", b"forwarded", b"via"})


def is_secure(scope: Mapping[str, Any], proxies: Matcher) -> bool:
    """Whether nobody on the way can read the answer, as far as we can tell.

    A listed proxy speaks for the way beyond it, also where it runs on this very machine.
    """
    client = scope.get("client")
    peer = client[0] if client else ""
    said = [value.strip().lower() for name, value in scope["headers"] if name == _FORWARDED_PROTO]
    if proxies.admits(peer) and (said or scope["scheme"] != "https"):
        return said == [b"https"]
    if scope["scheme"] == "https":
        return True
    # Something on this machine that forwards for others is a proxy, and nobody has listed it.
    forwarded = any(name in _FORWARDED for name, _ in scope["headers"])
    return _LOOPBACK.admits(peer) and not forwarded
