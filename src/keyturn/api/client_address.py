"""From which address a request comes: through listed proxies only, walked from right to left (K9, pitfall 12)."""

from collections.abc import Mapping
from typing import Any, Final

from keyturn.core.allowlist import Matcher, parse_address

_FORWARDED: Final = b"x-forwarded-for"


def client_address(scope: Mapping[str, Any], proxies: Matcher) -> str | None:
    """The right-most address that is no listed proxy; None where a proxy says something that is no address."""
    client = scope.get("client")
    said = [value for name, value in scope["headers"] if name == _FORWARDED]
    return behind(client[0] if client else "", said, proxies)


def behind(peer: str, said: list[bytes], proxies: Matcher) -> str | None:
    """The same from the peer's address and its `X-Forwarded-For` headers, in their order."""
    seen = _canonical(peer)
    if seen is None or not said or not proxies.admits(seen):
        return seen
    hops = [hop.strip() for value in said for hop in value.decode("latin-1").split(",")]
    for hop in reversed(hops):
        seen = _canonical(hop)
        if seen is None or not proxies.admits(seen):
            return seen
    return seen


def _canonical(text: str) -> str | None:
    try:
        return str(parse_address(text))
    except ValueError:
        return None
