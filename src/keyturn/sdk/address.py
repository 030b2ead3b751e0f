"""Addresses of servers: whether a credential may be sent there."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

NO_ADDRESS: Final = "not an address of a server; write https://host or http://127.0.0.1:8787"


class InsecureAddress(ValueError):  # noqa: N818  # says what is wrong with the address
    """A key would have gone over plain HTTP to another machine."""


def is_loopback(host: str) -> bool:
    """Whether this is this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_address(url: str, *, allow_plain_http: bool) -> None:
    """Refuse what is no server's address, and one that would show keys to others.  Raises ValueError.

    It is not repeated: what stands there may be a secret, of its own or given in the wrong place.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(NO_ADDRESS) from None
    if parts.username is not None or "?" in url or "#" in url:
        raise ValueError("the address of a server has no user, password, query or fragment")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(NO_ADDRESS)
    check_line(parts.scheme, host, allow_plain_http=allow_plain_http)


def check_line(scheme: str, host: str, *, allow_plain_http: bool) -> None:
    """Refuse to send a key to another machine where others can read it on the way.  Raises InsecureAddress."""
    if scheme == "http" and not is_loopback(host) and not allow_plain_http:
        raise InsecureAddress(f"{host} is another machine, and plain http would show every key on the way; use https")
