"""Which addresses a call to somewhere else may reach: public ones, whatever form they come in (pitfalls 12 and 25).

Everything that is not known to be public is refused: a list of what is forbidden would be one network short.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        # IANA's registry of special-purpose IPv4 addresses, multicast and what is reserved
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        # of global unicast in IPv6: protocol assignments, Teredo and ORCHID; documentation; 6to4; the root's AS112
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
_NAT64: Final = ip_network("64:ff9b::/96")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""What stands before the IPv4 address in an interface identifier of ISATAP (RFC 5214, section 6.1)."""


def is_public(text: str) -> bool:
    """Whether that is an address anybody in the world could mean, and nobody's own network."""
    address = unwrapped(text)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def is_loopback(text: str) -> bool:
    """Whether that is this machine itself."""
    return unwrapped(text).is_loopback


def unwrapped(text: str) -> IPv4Address | IPv6Address:
    """The address that packets go to in the end: an IPv4 address inside a mapped or translated one.

    Raises ValueError for what is no address; a zone id makes it none.
    """
    if "%" in text:
        msg = "a zone id"
        raise ValueError(msg)
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64 or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
