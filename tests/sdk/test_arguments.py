"""What a verifier is given, and what is remembered of it."""

import traceback
from collections.abc import Callable

import pytest

from keyturn.sdk import arguments
from keyturn.sdk.arguments import Arguments, read_credential, read_name, read_stale
from keyturn.verify.message import LONGEST_NAME

SECRET = "kt_live_put_in_the_wrong_place"


def test_what_is_remembered_of_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "_MOST_REMEMBERED", 8)
    held = Arguments()
    wanted, addresses = held.wanted, held.addresses
    for at in range(1, 21):
        assert held.read_wanted(f"orders{at}:read") == (f"orders{at}:read",)
        assert held.read_address(f"2001:DB8::{at}") == f"2001:db8::{at}"
        assert (wanted[f"orders{at}:read"], addresses[f"2001:DB8::{at}"]) == ((f"orders{at}:read",), f"2001:db8::{at}")
        assert max(len(wanted), len(addresses)) <= 8


def test_several_permissions_are_remembered_as_they_were_given() -> None:
    held = Arguments()
    both = ("orders:write", "orders:read")
    read = held.read_wanted(iter(both))
    assert (set(read), held.wanted) == (set(both), {both: read})


@pytest.mark.parametrize(
    "read",
    [
        Arguments().read_wanted,
        Arguments().read_address,
        read_stale,
        lambda given: read_stale(f"stale:{given}"),
        lambda given: read_credential(f"{given} {given}", None),
    ],
    ids=["permission", "address", "lapse", "stale", "credential"],
)
def test_no_error_repeats_what_was_given(read: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match=r"not a|none|on_lapse") as raised:
        read(SECRET)
    assert SECRET not in "".join(traceback.format_exception_only(raised.value))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_either_a_credential_or_its_file_is_given() -> None:
    for given in ((None, None), ("kt_x", "kt_x")):
        with pytest.raises(ValueError, match="the credential or the file"):
            read_credential(*given)


def test_a_name_is_short_and_plain_and_never_empty() -> None:
    assert read_name("billing\n取" + "x" * LONGEST_NAME) == ("billing??" + "x" * LONGEST_NAME)[:LONGEST_NAME]
    assert "/" in read_name("")
