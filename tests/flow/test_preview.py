"""What a reset would do, before anything is asked (R21), on both databases."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.core.handover import Gap
from keyturn.core.instant import Instant
from keyturn.core.key import Key
from keyturn.core.refusal import Refusal
from keyturn.core.reset import Asking, Reason
from keyturn.flow import preview as previews
from keyturn.flow.preview import Preview
from tests.flow.customer import DAY, HOUR, MINUTE, Customer, everything, kind
from tests.flow.customer import here as here  # noqa: PLC0414  # the fixture
from tests.world import T0, sure, unseen

NOTHING = timedelta(0)


def look(here: Customer, actor: Any, key: Key | str, reason: str = "routine", **wishes: Any) -> Preview | Refusal:
    key_id = key if isinstance(key, str) else key.id
    asking = Asking(reason=Reason(reason), **wishes)
    return here.world.store.read(lambda tx: previews.preview(tx, actor=actor, key_id=key_id, asking=asking))


DATES = {  # policy, reason: new starts, old stops, gap
    "R20 at once": ({"grace_default": "1h"}, "routine", (NOTHING, HOUR), None),
    "R20 after a cool-down": ({"cool_down": "24h", "grace_default": "1h"}, "routine", (DAY, DAY + HOUR), None),
    "R20 lost waits for first use": ({"grace_max": "2h"}, "lost", (NOTHING, 2 * HOUR), None),
    "R21 leaked stops now, until the proofs are shown": ({}, "leaked", (NOTHING, NOTHING), NOTHING),
    "R21 leaked with a cool-down": ({"cool_down": "24h"}, "leaked", (DAY, NOTHING), DAY),
    "R43 in two steps minting stops nothing": (
        {"manual": "two_step", "grace_max": "7d"},
        "routine",
        (NOTHING, 7 * DAY),
        None,
    ),
}


@pytest.mark.parametrize("story", DATES)
def test_the_dates_are_told_before_anything_is_asked(here: Customer, story: str) -> None:
    policy, reason, (starts, stops), gap = DATES[story]
    made = here.key(policy=policy)
    before = everything(here.world)
    found = sure(look(here, here.person, made.key, reason))
    assert everything(here.world) == before
    assert (found.plan.new_starts, found.plan.old_stops) == (T0 + starts, T0 + stops)
    assert found.gap == (None if gap is None else Gap(since=T0, until=Instant(T0 + gap)))
    assert found.reset.missing(T0) == ("password",)
    sure(here.world.ask(here.person, made.key, reason))


def test_r21_the_gap_before_an_old_secret_s_own_end_is_told(here: Customer) -> None:
    made = here.key(policy={"cool_down": "24h"}, expires_at=Instant(T0 + HOUR))
    found = sure(look(here, here.person, made.key))
    assert found.gap == Gap(since=Instant(T0 + HOUR), until=Instant(T0 + DAY))


def test_a_machine_that_proves_at_once_leaves_no_gap_but_a_cool_down(here: Customer) -> None:
    assert sure(look(here, here.machine, here.key().key, "leaked")).gap is None
    cooled = here.key(policy={"cool_down": "24h"})
    assert sure(look(here, here.machine, cooled.key, "leaked")).gap == Gap(since=T0, until=Instant(T0 + DAY))


def test_r24_what_a_waiver_takes_is_told_too(here: Customer) -> None:
    made = here.key(policy={"cool_down": "24h"})
    found = sure(look(here, here.person, made.key, waive_cool_down=True))
    assert found.plan.new_starts == T0
    assert found.reset.missing(T0) == ("password+administrator+second_administrator",)  # nothing is enrolled


def test_who_called_within_the_last_24_hours_is_told(here: Customer) -> None:
    made = here.key()
    one = here.world
    for address, agent in (("192.0.2.1", "old/1"), ("192.0.2.2", "bot/2"), ("192.0.2.2", "bot/2")):
        assert one.verify(unseen(made), "orders:write", ip=address, agent=agent).code == "valid"
        one.housekeeper.tick()
        one.clock.advance(MINUTE)
    one.clock.advance(DAY - 2 * MINUTE)
    found = sure(look(here, here.person, made.key))
    assert [(each.address, each.permission, each.user_agent, each.count) for each in found.callers] == [
        ("192.0.2.2", "orders:write", "bot/2", 2),
    ]


def test_a_preview_is_refused_where_the_reset_would_be(here: Customer) -> None:
    one = here.world
    made = here.key()
    stranger = one.sign_in(one.user(one.account()))
    assert kind(look(here, stranger, made.key)) == "not_found"
    assert kind(look(here, stranger, "key_unknown")) == "not_found"
    assert kind(look(here, here.person, made.key, grace=8 * DAY)) == "grace_too_long"
    assert kind(look(here, one.as_key(made.key), made.key)) == "self_reset_forbidden"
    sure(one.ask(here.person, made.key))
    assert kind(look(here, here.person, made.key)) == "reset_already_open"
    one.clock.advance(30 * MINUTE)
    assert kind(look(here, here.person, made.key)) == "done"  # the open one has lapsed, though nobody wrote it down
