"""Passwords are stored by Argon2id with as much work as RFC 9106 asks of a machine that is short of memory."""

from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from keyturn.outside.passwords import Argon2Passwords
from keyturn.settings import Settings
from keyturn.wiring import open_node

WORK = "$argon2id$v=19$m=65536,t=3,p=4$"


def test_as_much_work_as_the_rfc_asks_for() -> None:
    passwords = Argon2Passwords()
    stored = passwords.hash("a long enough passphrase")
    assert stored.startswith(WORK)
    assert passwords.check(stored, "a long enough passphrase")
    assert not passwords.check(stored, "another long passphrase")


def test_a_node_does_all_of_it(tmp_path: Path) -> None:
    """Servers of tests save themselves most of it (tests/forked.py); nobody else does."""
    with open_node(Settings.load({"data": tmp_path / "data", "port": 0})) as node:
        assert node.passwords.hash("a long enough passphrase").startswith(WORK)
        stretched = node.own_secrets._stretcher.stretch(b"s" * 32, b"t" * 16)
    assert stretched == hash_secret_raw(b"s" * 32, b"t" * 16, 3, 65_536, 4, 32, Type.ID)


def test_nobody_s_password_is_reckoned_with_as_well() -> None:
    """Pitfall 11: and it is nobody's."""
    passwords = Argon2Passwords(time_cost=1, memory_cost=64)
    assert not passwords.check("", "nobody's password")
    assert passwords._nobodys.startswith("$argon2id$v=19$m=64,t=1,p=4$")
