"""From which address a request to this server comes (`core.client_address`)."""

from collections.abc import Mapping
from typing import Any, Final

from keyturn.core.allowlist import Matcher
from keyturn.core.client_address import behind

_FORWARDED: Final = b"x-forwarded-for"


def client_address(scope: Mapping[str, Any], proxies: Matcher) -> str | None:
    """The right-most address that is no listed proxy; None where a proxy says something that is no address."""
    client = scope.get("client")
    said = [value for name, value in scope["headers"] if name == _FORWARDED]
    return behind(client[0] if client else "", said, proxies)
