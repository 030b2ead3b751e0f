"""From which address a request comes: through listed proxies only, walked from right to left (K9, pitfall 12)."""

from collections.abc import Sequence

from keyturn.core.allowlist import Matcher, parse_address


def behind(peer: str, said: Sequence[bytes], proxies: Matcher) -> str | None:
    """The right-most address that is no listed proxy; None where a proxy says something that is no address.

    `said` are the `X-Forwarded-For` headers in their order; whoever is no listed proxy is not believed.
    """
    seen = canonical(peer)
    if seen is None or not said or not proxies.admits(seen):
        return seen
    return told(said, proxies)


def told(said: Sequence[bytes], proxies: Matcher) -> str | None:
    """What a believed sender says in its `X-Forwarded-For` headers; None where it says nothing that can be used."""
    seen = None
    hops = [hop.strip() for value in said for hop in value.decode("latin-1").split(",")]
    for hop in reversed(hops):
        seen = canonical(hop)
        if seen is None or not proxies.admits(seen):
            return seen
    return seen


def canonical(text: str) -> str | None:
    """The one way to write this address; None for what is none."""
    try:
        return str(parse_address(text))
    except ValueError:
        return None
