"""Addresses from which a key may be used, or a reset may start (K9): IPv4 and IPv6 networks in CIDR form.

An IPv4 address written inside IPv6 (`::ffff:192.0.2.1`) is the IPv4 address it maps (pitfall 12).
Zone ids, host bits, bare numbers and digits of other scripts are refused rather than guessed at.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

MOST_NETWORKS: Final = 1000
_PLAIN: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}", re.ASCII)
_PLAIN_NETWORK: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?", re.ASCII)
_MAPPED: Final = ip_network("::ffff:0:0/96")
_MAPPED_BITS: Final = 96


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """One address, unmapped.  Raises ValueError for anything else, zone ids and ports included."""
    if not _PLAIN.fullmatch(text):
        msg = f"not an IP address: {text[:60]!r}"
        raise ValueError(msg)
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def parse_network(text: str) -> str:
    """The canonical CIDR form of one network or address.  Raises ValueError with a sentence for a person."""
    if not _PLAIN_NETWORK.fullmatch(text):
        msg = f"not an IP network: {text[:60]!r}; write 192.0.2.0/24 or 2001:db8::/32"
        raise ValueError(msg)
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):  # type: ignore[arg-type]  # _MAPPED is IPv6
        bits = network.prefixlen - _MAPPED_BITS
        network = IPv4Network((int(network.network_address) & 0xFFFF_FFFF, bits))
    return str(network)


def parse_set(texts: Iterable[str]) -> tuple[str, ...]:
    """Canonical, each once, in the order given.  Raises ValueError as `parse_network` does."""
    networks = tuple(dict.fromkeys(parse_network(text) for text in texts))
    if len(networks) > MOST_NETWORKS:
        msg = f"more than {MOST_NETWORKS} networks"
        raise ValueError(msg)
    return networks


def covers(outer: tuple[str, ...], inner: tuple[str, ...]) -> bool:
    """Whether every address in `inner` is in `outer`.  An empty allowlist admits every address."""
    if not outer:
        return True
    if not inner:
        return False
    outer_networks = [ip_network(text) for text in outer]
    return all(
        any(
            network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]  # same version
            for other in outer_networks
        )
        for network in map(ip_network, inner)
    )


class Matcher:
    """Networks made ready for many look-ups: sorted integer ranges, IPv4 and IPv6 apart."""

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[str]) -> None:
        parsed = [ip_network(text) for text in networks]
        self._v4 = _ranges(one for one in parsed if isinstance(one, IPv4Network))
        self._v6 = _ranges(one for one in parsed if isinstance(one, IPv6Network))

    def admits(self, text: str) -> bool:
        """Whether the address lies in one of the networks.  Text that is no address is never admitted."""
        try:
            address = parse_address(text)
        except ValueError:
            return False
        starts, ends = self._v4 if isinstance(address, IPv4Address) else self._v6
        number = int(address)
        at = bisect_right(starts, number) - 1
        return at >= 0 and number <= ends[at]


def _ranges(networks: Iterable[IPv4Network | IPv6Network]) -> tuple[list[int], list[int]]:
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted((int(one[0]), int(one[-1])) for one in networks):
        if ends and first <= ends[-1] + 1:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return starts, ends
