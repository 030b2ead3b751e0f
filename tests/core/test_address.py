"""Further addresses: which are told, and what is one."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from keyturn.core.address import Address, is_told, parse_email
from keyturn.core.instant import Instant

T0 = Instant(datetime.fromisoformat("2030-01-01T00:00:00+00:00"))
NEW = Address(id="adr_1", user_id="usr_1", email="a@example.com", made_at=T0)


def test_r50_which_addresses_are_told() -> None:
    confirmed = replace(NEW, confirmed_at=T0)
    removed = replace(confirmed, removed_at=T0)
    week = timedelta(days=7)
    stories = {
        "one that is not confirmed yet": (NEW, T0, False),
        "one that is": (confirmed, Instant(T0 + 100 * week), True),
        "one that was removed a moment ago": (removed, T0, True),
        "within a week": (removed, Instant(T0 + week - timedelta(seconds=1)), True),
        "after a week": (removed, Instant(T0 + week), False),
        "removed before it was confirmed": (replace(NEW, removed_at=T0), T0, False),
    }
    for story, (address, now, told) in stories.items():
        assert is_told(address, now) is told, story


def test_an_address_has_one_form() -> None:
    assert parse_email("Maria@Example.COM") == "maria@example.com"


@pytest.mark.parametrize(
    "text", ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "a\N{RIGHT-TO-LEFT OVERRIDE}@b", "a" * 320 + "@b"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as name@example\.com"):
        parse_email(text)
