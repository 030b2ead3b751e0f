"""A person's cool-down, two steps and handover, end to end (R21, R24, R33, R43), on both databases."""

from typing import Any

from sqlalchemy import event

from keyturn.core.authenticator import Shown
from keyturn.core.instant import Instant
from keyturn.core.key import status
from keyturn.core.reset import Asking, Reason
from keyturn.core.stage import Stage
from keyturn.flow import preview as previews
from keyturn.flow import reset as resets
from keyturn.flow.key import KeyAnswer
from tests.flow.customer import DAY, HOUR, kind
from tests.person import Person
from tests.world import T0, World, sure, unseen


def owning(here: World, **policy: Any) -> tuple[Person, KeyAnswer]:
    """A person and a key of theirs under that policy."""
    account = here.account()
    owner = here.user(account)
    name = here.policy(**{"proofs": ["password"], "step_up": "none"} | policy)
    made = here.key(account_id=account.id, owner_id=owner.id, policy=name, permissions=("orders:write",))
    return Person(here, owner), made


def statements(here: World) -> list[str]:
    said: list[str] = []

    @event.listens_for(here.store._engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    return said


def test_r24_a_person_waives_a_cool_down_with_a_second_factor(here: World) -> None:
    person, made = owning(here, cool_down="24h")
    without = sure(here.ask(person.actor, made.key, waive_cool_down=True))
    assert without.reset.missing(here.clock()) == ("password+administrator+second_administrator",)
    sure(here.step("cancel", person.actor, without.reset.id))
    person.with_app()
    asked = sure(here.ask(person.actor, made.key, waive_cool_down=True))
    assert any(one.startswith("password+totp") for one in asked.reset.missing(here.clock()))
    sure(here.prove(person.actor, asked.reset.id))
    assert kind(here.mint(person.actor, asked.reset.id)) == "reset_out_of_order"
    code = Shown(kind="totp", code=person.code())
    sure(here.prove(person.actor, asked.reset.id, "totp", shown=code))
    minted = sure(here.mint(person.actor, asked.reset.id))
    assert here.code(unseen(minted)) == "valid"
    plain = sure(here.ask(person.actor, made.key)).reset.id
    sure(here.prove(person.actor, plain))
    cooling = sure(here.mint(person.actor, plain))
    assert (here.code(unseen(cooling)), here.code(unseen(minted))) == ("not_yet_active", "valid")
    here.clock.advance(DAY)
    assert here.code(unseen(cooling)) == "valid"


def test_r24_dangerous_only_lets_a_person_read_at_once_and_write_later(here: World) -> None:
    person, made = owning(here, cool_down="24h", cool_down_scope="dangerous_only", grace_default="1h")
    reset_id = sure(here.ask(person.actor, made.key)).reset.id
    sure(here.prove(person.actor, reset_id))
    minted = sure(here.mint(person.actor, reset_id))

    def accepted(answer: Any) -> tuple[str, str]:
        return here.code(unseen(answer), "orders:read"), here.code(unseen(answer), "orders:write")

    assert accepted(minted) == ("valid", "not_yet_active")
    assert accepted(made) == ("valid", "valid"), "R21: somebody can write all the time"
    assert kind(here.step("finish", person.actor, reset_id)) == "new_not_started"
    here.clock.advance(DAY)
    assert (accepted(minted), accepted(made)) == (("valid", "valid"), ("valid", "valid"))
    here.clock.advance(HOUR)
    assert (accepted(minted), accepted(made)) == (("valid", "valid"), ("replaced", "replaced"))


def test_r43_a_person_stops_the_old_one_and_creates_the_new_one_in_two_steps(here: World) -> None:
    person, made = owning(here, manual="two_step", cool_down="1h")
    asking = Asking(reason=Reason.ROUTINE)
    told = here.store.read(lambda tx: previews.preview(tx, actor=person.actor, key_id=made.key.id, asking=asking))
    assert sure(told).reset.in_two_steps
    reset_id = sure(here.ask(person.actor, made.key)).reset.id
    assert kind(here.step("finish", person.actor, reset_id)) == "reset_out_of_order", "not before the proofs"
    sure(here.prove(person.actor, reset_id))
    stopped = sure(here.step("finish", person.actor, reset_id))
    assert (stopped.reset.stage, here.code(unseen(made))) == (Stage.PROVEN, "replaced")
    assert status(here.get(made.key.id), here.clock()) == "awaiting_reset"
    assert stopped.plan is not None
    assert stopped.plan.gap is not None, "R21: it is told before the second step"
    assert (stopped.plan.gap.since, stopped.plan.gap.until) == (T0, Instant(T0 + HOUR))
    minted = sure(here.mint(person.actor, reset_id))
    assert here.code(unseen(minted)) == "not_yet_active"
    here.clock.advance(HOUR)
    assert here.code(unseen(minted)) == "valid"


def test_r33_a_live_page_asks_for_a_handover_cheaply_and_locks_nothing(here: World) -> None:
    person, made = owning(here, grace_default="1h")
    reset_id = sure(here.ask(person.actor, made.key)).reset.id
    sure(here.prove(person.actor, reset_id))
    sure(here.mint(person.actor, reset_id))
    here.verify(unseen(made), "orders:write", ip="192.0.2.7", agent="old/1")
    here.housekeeper.tick()
    said = statements(here)
    shown = sure(here.store.read(lambda tx: resets.show(tx, actor=person.actor, reset_id=reset_id)))
    assert [(one.address, one.user_agent, one.count) for one in shown.used_by] == [("192.0.2.7", "old/1", 1)]
    asked = [one for one in said if one.startswith("SELECT") and "FROM authority" not in one]
    assert len(asked) == 4, asked  # the reset, its key, the key's secrets, who uses the old one
    assert not any("FOR UPDATE" in one or "FOR SHARE" in one for one in asked)
