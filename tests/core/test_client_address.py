import pytest

from keyturn.core.allowlist import Matcher
from keyturn.core.client_address import behind

PROXIES = Matcher(("192.0.2.0/24", "2001:db8::/32"))

WHENCE: dict[str, tuple[str, list[bytes], str | None]] = {
    "nobody in between": ("203.0.113.9", [], "203.0.113.9"),
    "an unlisted peer is not believed": ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
    "a listed proxy is": ("192.0.2.1", [b"198.51.100.1"], "198.51.100.1"),
    "the right-most that is not listed": ("192.0.2.1", [b"10.0.0.1, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
    "what the client wrote to the left is ignored": ("192.0.2.1", [b"127.0.0.1, 198.51.100.1"], "198.51.100.1"),
    "several headers are one list": ("192.0.2.1", [b"127.0.0.1", b"198.51.100.1"], "198.51.100.1"),
    "a mapped address is unmapped": ("::ffff:192.0.2.1", [b"::ffff:198.51.100.1"], "198.51.100.1"),
    "proxies only, so it is the one furthest away": ("192.0.2.1", [b"192.0.2.9, 192.0.2.7"], "192.0.2.9"),
    "a peer without an address is nobody": ("", [b"198.51.100.1"], None),
    "garbage is nobody": ("192.0.2.1", [b"198.51.100.1, nonsense"], None),
    "a port is garbage": ("192.0.2.1", [b"198.51.100.1:80"], None),
    "a zone is garbage": ("192.0.2.1", [b"fe80::1%eth0"], None),
    "digits of another script are garbage": ("192.0.2.1", ["\uff11\uff198.51.100.1".encode()], None),
}


@pytest.mark.parametrize("story", WHENCE)
def test_pitfall_12_the_clients_address(story: str) -> None:
    peer, said, expected = WHENCE[story]
    assert behind(peer, said, PROXIES) == expected
