"""Webhooks from the row that a flow wrote to what a real receiver was told (R50, R51, pitfall 25)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from keyturn.core.account import Account, Role, User
from keyturn.core.actor import Actor
from keyturn.core.delivery import KEEPS_PLACE_FOR, PAUSES, TRIED_FOR, Means, State
from keyturn.core.key import Key
from keyturn.core.permission import RIGHT_ACCOUNTS_READ, RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import InvalidField, NotFound, PermissionMissing, Refusal, WebhookLimitReached
from keyturn.core.webhook import BOTH_SIGN_FOR, FAILS_FOR, MOST_PER_ACCOUNT, Webhook
from keyturn.flow import webhook as flow
from keyturn.flow.replay import Once
from keyturn.flow.telling import Teller, Turn
from keyturn.flow.webhook import WebhookAnswer, WebhookEdit, WebhookWish
from keyturn.outside.webhook import WebhookSender
from keyturn.ports.page import Page
from keyturn.store.tables import metadata
from tests.loopback import Reply
from tests.webhook_receiver import BROKEN, WebhookReceiver
from tests.world import World, sure, world

ONCE = Once(caller="key_1", idempotency_key="once", request=b"r" * 32)


@dataclass(kw_only=True)
class Here:
    """A customer with an owner and a key, and the receiver they run."""

    world: World
    receiver: WebhookReceiver
    account: Account
    owner: User
    person: Actor
    key: Key

    def create(self, actor: Actor | None = None, *, once: Once | None = None, **changes: Any) -> Any:
        plain: dict[str, Any] = {"url": f"{self.receiver.url}/hook", "events": ("*",), "account_id": self.account.id}
        wish = WebhookWish(**plain | changes)
        one = self.world
        return one.store.change(
            lambda tx: flow.create(
                tx, actor=actor or self.person, wish=wish, to_loopback=True, forge=one.forge, once=once
            )
        )

    def do(self, name: str, webhook: Webhook, actor: Actor | None = None, **words: Any) -> Any:
        """One of the flows."""
        step = getattr(flow, name)
        who = actor or self.person
        return self.world.store.change(lambda tx: step(tx, actor=who, webhook_id=webhook.id, **words))

    def rotate(self, webhook: Webhook, once: Once | None = None) -> WebhookAnswer:
        return sure(self.do("rotate", webhook, forge=self.world.forge, once=once))  # type: ignore[no-any-return]  # as the flow says

    def get(self, webhook: Webhook) -> Webhook:
        found = self.world.store.read(lambda tx: tx.webhook(webhook.id))
        assert found is not None
        return found

    def suspend_key(self) -> None:
        sure(self.world.on_key("suspend", self.world.root, self.key.id, reason="x"))

    def resume_key(self) -> None:
        sure(self.world.on_key("resume", self.world.root, self.key.id))

    def run(self) -> list[Turn]:
        """Address what is new and call whatever is due."""
        teller = Teller(self.world.store, self.world.forge, {Means.WEBHOOK: WebhookSender(to_loopback=True)})
        turns: list[Turn] = []
        teller.look()
        while (turn := teller.tell(Means.WEBHOOK)) is not Turn.IDLE:
            turns.append(turn)
        return turns

    def states(self) -> list[State]:
        """Of every call, oldest first."""
        found = self.world.store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=Page(size=1000)))
        parcels = [parcel.delivery for _, parcel in reversed(found)]
        return [one.state for one in parcels if one.means is Means.WEBHOOK]

    def types(self, secret: Any) -> list[str]:
        return [one.event["type"] for one in self.receiver.deliveries(secret.reveal, len(self.receiver.heard))]


@pytest.fixture
def here(database_url: str) -> Iterator[Here]:
    with world(database_url) as one, WebhookReceiver() as receiver:
        account = one.account()
        owner = one.user(account)
        made = one.key(account_id=account.id, owner_id=owner.id)
        here = Here(world=one, receiver=receiver, account=account, owner=owner, person=one.sign_in(owner), key=made.key)
        here.run()
        yield here


def test_r50_what_happens_is_told_to_the_account_s_webhooks_signed(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    other = here.world.account()
    elsewhere = here.world.user(other)
    sure(here.create(here.world.sign_in(elsewhere), account_id=other.id, url=f"{here.receiver.url}/other"))
    here.run()
    here.receiver.heard.clear()
    here.suspend_key()
    here.resume_key()
    assert here.run() == [Turn.MADE] * 2
    assert here.types(made.secret) == ["key.suspended", "key.resumed"], "in order, and no other account's"
    (first, second) = here.receiver.deliveries(made.secret.reveal, 2)
    assert first.id != second.id
    assert first.event["data"]["key_id"] == here.key.id
    assert first.event["data"]["detail"] == {"reason": "x"}
    assert here.run() == []


def test_the_operator_s_own_webhook_is_told_of_every_account(here: Here) -> None:
    one = here.world
    wide = sure(here.create(one.root, account_id=one.operator.id, every_account=True, events=("key.*",)))
    here.suspend_key()
    here.run()
    assert here.types(wide.secret) == ["key.suspended"]
    assert here.create(here.person, every_account=True) == PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)


def test_k11_a_signing_secret_is_shown_once_and_stored_nowhere(here: Here) -> None:
    made = sure(here.create(once=ONCE))
    again = sure(here.create(once=ONCE))
    assert (again.webhook, again.secret, again.secret_shown) == (made.webhook, None, True)
    rotated = here.rotate(made.webhook)
    assert rotated.secret is not None
    assert made.secret.reveal != rotated.secret.reveal
    marks = {made.secret.reveal.removeprefix("whsec_"), rotated.secret.reveal.removeprefix("whsec_")}
    here.run()

    def rows(tx: Any) -> str:
        return repr([tx._connection.execute(table.select()).all() for table in metadata.tables.values()])

    stored = here.world.store.read(rows)
    assert made.webhook.id in stored
    assert not [mark for mark in marks if mark in stored]
    for request in here.receiver.heard:
        assert not [mark for mark in marks if mark in repr(request)]


def test_after_a_rotation_both_secrets_verify_for_a_day(here: Here) -> None:
    made = sure(here.create())
    rotated = here.rotate(made.webhook)
    retried = here.rotate(made.webhook, once=ONCE)
    assert here.rotate(made.webhook, once=ONCE).secret_shown
    here.run()
    assert rotated.secret is not None
    assert retried.secret is not None
    for secret in (made.secret, rotated.secret, retried.secret):
        assert "webhook.rotated" in here.types(secret)
    here.world.clock.advance(BOTH_SIGN_FOR)
    here.receiver.heard.clear()
    here.suspend_key()
    here.run()
    assert here.types(retried.secret) == ["key.suspended"]
    with pytest.raises(AssertionError, match="No matching signature"):
        here.types(made.secret)


def test_r51_a_receiver_that_is_down_is_called_again_with_the_same_message(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    here.receiver.stop()
    here.suspend_key()
    here.resume_key()
    assert here.run() == [Turn.AWAY], "the second waits behind the first"
    assert here.get(made.webhook).failing_since == here.world.clock()
    here.receiver.start()
    here.receiver.then(BROKEN)
    here.world.clock.advance(PAUSES[0])
    assert here.run() == [Turn.MADE]
    here.world.clock.advance(PAUSES[1])
    here.run()
    ids = [one.id for one in here.receiver.deliveries(made.secret.reveal, 3)]
    assert ids[0] == ids[1] != ids[2]
    assert here.types(made.secret) == ["key.suspended", "key.suspended", "key.resumed"]
    assert here.get(made.webhook).failing_since is None


def test_r51_one_event_that_a_receiver_cannot_take_does_not_hold_up_the_others(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    here.receiver.then(*[BROKEN] * KEEPS_PLACE_FOR)
    here.suspend_key()
    here.resume_key()
    for pause in PAUSES[: KEEPS_PLACE_FOR - 1]:
        here.run()
        here.world.clock.advance(pause)
    here.run()
    assert here.types(made.secret) == ["key.suspended"] * KEEPS_PLACE_FOR + ["key.resumed"]


def test_after_five_days_of_failures_it_is_suspended_and_the_owner_told(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    here.receiver.stop()
    here.suspend_key()
    here.run()
    here.world.clock.advance(TRIED_FOR)
    here.run()
    assert here.states() == [State.GIVEN_UP]
    assert here.get(made.webhook).suspended_at is None
    here.world.clock.advance(FAILS_FOR - TRIED_FOR)
    here.resume_key()
    here.suspend_key()
    here.run()
    assert here.get(made.webhook).suspended_at == here.world.clock()
    (record,) = [one for one in here.world.audit(subject_id=made.webhook.id) if one.action == "webhook.suspended"]
    assert (record.actor_id, record.account_id) == ("system", here.account.id)
    told = [notice for _, notice in here.world.store.change(lambda tx: tx.new_notices(limit=10))]
    assert [notice.kind for notice in told] == ["webhook.suspended"]
    here.receiver.start()
    here.world.clock.advance(PAUSES[-1])
    here.run()
    assert here.states()[1:] == [State.LAPSED, State.LAPSED]
    assert here.receiver.heard == []
    sure(here.do("resume", made.webhook))
    here.resume_key()
    here.run()
    assert here.types(made.secret) == ["key.resumed"]


def test_a_receiver_that_wants_no_more_gets_no_more(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    here.receiver.then(Reply(status=410))
    here.suspend_key()
    here.resume_key()
    here.run()
    assert here.states() == [State.REFUSED, State.LAPSED]
    assert here.get(made.webhook).suspended_at is not None
    here.suspend_key()
    here.run()
    assert len(here.states()) == 2, "nothing is even put down for it"


def test_a_test_is_told_to_that_webhook_alone_and_to_no_address(here: Here) -> None:
    made, other = sure(here.create(events=("reset.*",))), sure(here.create(events=("*",)))
    sure(here.do("suspend", made.webhook))
    here.run()
    here.receiver.heard.clear()
    before = len(here.world.store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=Page(size=1000))))
    sure(here.do("test", made.webhook))
    assert here.run() == [Turn.MADE]
    assert here.types(made.secret) == ["webhook.test"], "also while it is suspended"
    told = here.world.store.read(lambda tx: tx.told(account_ids=None, key_id=None, page=Page(size=1000)))
    assert len(told) == before + 1
    assert other.webhook.id not in repr(told[0])


def test_a_webhook_that_is_removed_is_called_no_more(here: Here) -> None:
    made = sure(here.create(events=("key.*",)))
    here.suspend_key()
    sure(here.do("test", made.webhook))
    assert sure(here.do("remove", made.webhook)) == made.webhook
    assert here.run() == []
    assert here.receiver.heard == []
    assert here.do("remove", made.webhook) == NotFound()


def test_an_edit_changes_what_it_names(here: Here) -> None:
    made = sure(here.create()).webhook
    events = WebhookEdit(events=("reset.*",))
    assert sure(here.do("edit", made, edit=events, to_loopback=True)).webhook.events == ("reset.*",)
    moved = sure(here.do("edit", made, edit=WebhookEdit(url=f"{here.receiver.url}/new"), to_loopback=True)).webhook
    assert (moved.url, moved.events) == (f"{here.receiver.url}/new", ("reset.*",))
    bad = here.do("edit", made, edit=WebhookEdit(url="https://127.0.0.1/"), to_loopback=False)
    assert isinstance(bad, InvalidField)
    assert here.get(made) == moved
    assert sure(here.do("edit", made, edit=WebhookEdit(), to_loopback=True)).webhook == moved
    assert [one.action for one in here.world.audit(subject_id=made.id)].count("webhook.edited") == 3


def test_l4_pitfalls_18_and_19_whoever_may_not_write_the_account_is_refused_and_recorded(here: Here) -> None:
    one = here.world
    made = sure(here.create()).webhook
    reader = one.sign_in(one.user(here.account, Role.AUDITOR))
    stranger = one.sign_in(one.user(one.account()))
    words: dict[str, dict[str, Any]] = {
        "edit": {"edit": WebhookEdit(events=("*",)), "to_loopback": True},
        "rotate": {"forge": one.forge, "once": None},
        "suspend": {},
        "resume": {},
        "remove": {},
        "test": {},
    }
    for name, more in words.items():
        before = len(one.audit())
        assert here.do(name, made, reader, **more) == PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE), name
        assert here.do(name, made, stranger, **more) == NotFound(), name
        assert [each.outcome for each in one.audit()[before:]] == ["permission_missing", "not_found"], name
    assert here.create(reader) == PermissionMissing(needed=RIGHT_ACCOUNTS_WRITE)
    assert here.create(stranger) == NotFound()
    assert here.get(made) == made

    def shown(actor: Actor) -> Webhook | Refusal:
        return one.store.read(lambda tx: flow.show(tx, actor=actor, webhook_id=made.id))

    def listed(actor: Actor) -> Any:
        return one.store.read(lambda tx: flow.listing(tx, actor=actor, account_id=None, page=Page(size=10)))

    assert (shown(reader), shown(stranger)) == (made, NotFound())
    assert [webhook for _, webhook in sure(listed(reader))] == [made]
    assert sure(listed(stranger)) == []
    member = one.sign_in(one.user(here.account, Role.MEMBER))
    assert listed(member) == PermissionMissing(needed=RIGHT_ACCOUNTS_READ)


def test_an_account_has_so_many_webhooks_and_no_more(here: Here) -> None:
    for _ in range(MOST_PER_ACCOUNT):
        sure(here.create())
    assert here.create() == WebhookLimitReached(limit=MOST_PER_ACCOUNT)


def test_pitfall_25_an_address_inside_is_refused_when_it_is_entered(here: Here) -> None:
    wish = WebhookWish(url="https://169.254.169.254/", events=("*",))
    refusal = here.world.store.change(
        lambda tx: flow.create(tx, actor=here.person, wish=wish, to_loopback=False, forge=here.world.forge, once=None)
    )
    assert refusal == InvalidField(field="url", reason="169.254.169.254 is not a public address")


def test_the_rest_of_an_address_is_told_to_nobody(here: Here) -> None:
    """It may be a secret of the receiver's."""
    sure(here.create(url=f"{here.receiver.url}/marker", events=("*",)))
    here.run()
    assert "marker" not in repr(here.world.audit())
    assert not [request for request in here.receiver.heard if b"marker" in request.body]
