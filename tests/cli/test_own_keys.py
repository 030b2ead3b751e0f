"""`keyturn key create` and `reset` with what a customer brings (R42)."""

import time
from itertools import count
from pathlib import Path

import pytest

from tests.cli.conftest import Keyturn
from tests.signing import Pair

_numbers = count()
MINE, NEXT = "tr4wl-Kettle.9_Quay~moss+Hinge77x", "Plum_brisk:44-Orbit~vane/Tusk.81q"


@pytest.fixture
def kt(served_keyturn: Keyturn) -> Keyturn:
    return served_keyturn


def unlike(text: str) -> str:
    """One that no other run against this server has brought."""
    return f"{text}{next(_numbers)}{time.time_ns()}"


def test_r42_a_label_is_given_and_shown(kt: Keyturn) -> None:
    made = kt.ok("key", "create", "x", "--label", "my_bot")
    assert made["secret"].startswith("kt_my_bot_live_")
    assert "my_bot" in kt("key", "show", made["id"]).out


def test_r42_a_public_key_is_read_from_a_file_and_nothing_is_printed_as_a_secret(kt: Keyturn, tmp_path: Path) -> None:
    first, second = tmp_path / "first.pub", tmp_path / "second.pub"
    first.write_text(Pair().pem)
    second.write_text(Pair().pem)
    made = kt.ok("key", "create", "x", "--public-key-file", str(first))
    assert (made["kind"], made["secret"]) == ("public_key", None)
    ran = kt("key", "reset", made["id"], "--reason", "routine", "--public-key-file", str(second))
    assert (ran.code, ran.out) == (0, "")
    waits = kt("key", "reset", made["id"], "--reason", "routine", "--json")
    assert (waits.code, waits.json["stage"]) == (3, "proven")
    assert kt("reset", "mint", waits.json["id"]).code == 1
    third = tmp_path / "third.pub"
    third.write_text(Pair().pem)
    minted = kt.ok("reset", "mint", waits.json["id"], "--public-key-file", str(third))
    assert (minted["stage"], minted["secret"]) == ("minted", None)
    assert kt("key", "create", "x", "--public-key-file", str(tmp_path / "none")).code == 1
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "no PEM" in kt("key", "create", "x", "--public-key-file", str(binary)).err


def test_r42_an_own_secret_comes_from_a_file_or_standard_input_and_never_from_an_argument(
    kt: Keyturn, tmp_path: Path
) -> None:
    kt.ok("policy", "apply", "-", stdin='name = "cli-choosing"\nown_secret = "allowed"\n')
    mine, following = unlike(MINE), unlike(NEXT)
    label = f"cli{next(_numbers)}x{time.time_ns() % 10**9}"
    words = ("--policy", "cli-choosing", "--label", label)
    file = tmp_path / "own.secret"
    file.write_text(mine + "\n")
    made = kt("key", "create", "x", *words, "--own-secret-file", str(file))
    assert (made.code, made.out) == (0, "")
    assert mine not in made.err
    presented = f"kt_own_{label}_{mine}"
    assert kt("verify", stdin=presented).out == "valid\n"
    found = kt.ok("key", "identify", stdin=presented)
    assert found["code"] == "valid"
    key_id = found["key_id"]
    ran = kt("key", "reset", key_id, "--reason", "routine", "--own-secret-file", "-", stdin=following + "\n")
    assert (ran.code, ran.out) == (0, "")
    assert kt("verify", stdin=f"kt_own_{label}_{following}").out == "valid\n"
    both = kt("key", "create", "x", "--own-secret-file", str(file), "--public-key-file", str(file))
    assert both.code == 2
    refused = kt("key", "create", "x", *words, "--own-secret-file", str(file))
    assert (refused.code, "name_taken" in refused.err, mine in refused.err) == (1, True, False)
