"""Many at once: one wins, the others are told why, and nothing is exceeded (R14, law 5, pitfall 15)."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event, Thread

import psycopg
import pytest

from keyturn.core.refusal import KeyChanged, Refusal
from keyturn.flow import key as key_flow
from keyturn.flow.key import KeyAnswer
from keyturn.flow.replay import Once
from keyturn.flow.step import ResetAnswer
from keyturn.ports.store import StoreBusy
from keyturn.store.transaction import SqlTransaction
from tests.attached import until
from tests.world import World, sure, unseen, world

MANY = 1000
AT_ONCE = 100


def all_at_once(call: Callable[[int], object]) -> tuple[list[object], Counter[str]]:
    """What a thousand calls, a hundred at a time, were answered."""

    def one(number: int) -> object:
        try:
            return call(number)
        except StoreBusy as busy:  # turned away, nothing changed
            return busy

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(one, range(MANY)))
    kinds = Counter(one.kind if isinstance(one, Refusal) else type(one).__name__ for one in answers)
    return answers, kinds


def collect(call: Callable[[], object], answers: list[object]) -> None:
    answers.append(call())


def records(here: World, action: str) -> Counter[str]:
    return Counter(one.outcome for one in here.audit() if one.action == action)


@pytest.mark.parametrize("expecting", [True, False], ids=["R15 with expected_version", "R14 without"])
def test_r14_of_a_thousand_resets_at_once_one_wins(database_url: str, expecting: bool) -> None:  # noqa: FBT001  # a parameter
    with world(database_url) as here:
        made = here.key()
        arrived = here.verifier.applied_rev
        version = 1 if expecting else None

        def ask(_: int) -> object:
            return here.ask(here.root, made.key, expected_version=version, arrived_rev=arrived)

        answers, kinds = all_at_once(ask)
        (winner,) = [one for one in answers if isinstance(one, ResetAnswer)]
        assert kinds["key_changed"] + kinds["StoreBusy"] == MANY - 1
        assert kinds["key_changed"] > MANY / 2
        key = here.get(made.key.id)
        assert key.version == 2
        assert winner.secret is not None
        assert here.code(unseen(winner)) == here.cold_code(unseen(winner)) == "valid"
        assert here.code(unseen(made)) == here.cold_code(unseen(made)) == "replaced"
        assert records(here, "reset.asked") == {"done": 1, "key_changed": kinds["key_changed"]}
        assert records(here, "reset.minted") == {"done": 1}
        assert here.verifier.applied_rev == here.store.rev() == arrived + 1


def test_l5_of_a_thousand_creations_at_the_limit_minus_one_one_succeeds(database_url: str) -> None:
    with world(database_url) as here:
        account = here.account(max_keys_per_user=3)
        owner = here.user(account)
        for _ in range(2):
            here.key(account_id=account.id, owner_id=owner.id)

        def create(_: int) -> object:
            return here.try_key(here.root, account_id=account.id, owner_id=owner.id)

        answers, kinds = all_at_once(create)
        assert len([one for one in answers if isinstance(one, KeyAnswer)]) == 1
        assert kinds["key_limit_reached"] + kinds["StoreBusy"] == MANY - 1
        assert here.store.read(lambda tx: tx.count_live_keys(owner.id)) == 3
        assert records(here, "key.created")["key_limit_reached"] == kinds["key_limit_reached"]


def test_r14_what_arrived_before_the_winners_commit_is_refused_and_what_came_after_is_not(database_url: str) -> None:
    with world(database_url) as here:
        made = here.key()
        early = here.verifier.applied_rev
        first = sure(here.ask(here.root, made.key))
        late = here.ask(here.root, made.key, arrived_rev=early)
        assert late == KeyChanged(version=2)
        second = sure(here.ask(here.root, made.key, arrived_rev=first.rev))
        assert second.key.version == 3


def test_r14_a_person_and_a_machine_at_once(database_url: str) -> None:
    with world(database_url) as here:
        policy = here.policy(proofs=["password"])
        account = here.account()
        owner = here.user(account)
        machine, person = here.machine(account, owner), here.sign_in(owner)
        for _ in range(5):
            made = here.key(account_id=account.id, owner_id=owner.id, policy=policy)
            answers: list[object] = []
            arrived = here.verifier.applied_rev
            calls = [partial(here.ask, actor, made.key, arrived_rev=arrived) for actor in (machine, person)]
            threads = [Thread(target=collect, args=(call, answers)) for call in calls]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            refusals = [one.kind for one in answers if isinstance(one, Refusal)]
            assert len(answers) == 2
            assert refusals in (["key_changed"], ["reset_already_open"])


def test_r15_pitfall_16_one_request_sent_many_times_at_once_is_carried_out_once(database_url: str) -> None:
    with world(database_url) as here:
        made = here.key()
        once = Once(caller=here.root.id, idempotency_key="same", request=b"r" * 32)
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda _: sure(here.ask(here.root, made.key, once=once)), range(40)))
        assert len([one for one in answers if one.secret is not None]) == 1
        assert {one.reset.id for one in answers} == {answers[0].reset.id}
        assert {one.secret_shown for one in answers if one.secret is None} == {True}
        assert here.get(made.key.id).version == 2


def test_f10_f0_whoever_repeats_a_stop_while_it_is_made_is_told_its_revision(postgres_url: str) -> None:
    """The repeat began before the stop was committed, and saw no revision of it."""
    with world(postgres_url) as here, ThreadPoolExecutor(2) as threads:
        made = here.key()
        begun, going_on = Event(), Event()

        def stop(tx: SqlTransaction) -> KeyAnswer | Refusal:
            answer = key_flow.suspend(tx, actor=here.root, key_id=made.key.id, reason="")
            begun.set()
            assert going_on.wait(30)
            return answer

        first = threads.submit(here.store.change, stop)
        assert begun.wait(30)
        second = threads.submit(here.on_key, "suspend", here.root, made.key.id, reason="")
        until(lambda: second.done() or waits(postgres_url))  # it is let go of if the machine stands still here
        going_on.set()
        stopped, repeated = sure(first.result()), sure(second.result())
        assert stopped.rev == here.store.rev()
        assert repeated.rev == stopped.rev


def waits(url: str) -> bool:
    """Whether somebody waits for a lock there."""
    with psycopg.connect(url) as other:
        query = (
            "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
        )
        return other.execute(query, [url.rpartition("/")[2]]).fetchone() is not None


def test_r13_a_reset_and_a_revocation_at_once_leave_a_revoked_key(database_url: str) -> None:
    with world(database_url) as here:
        for _ in range(5):
            made = here.key()
            answers: list[object] = []
            calls = (partial(here.ask, here.root, made.key), partial(here.on_key, "revoke", here.root, made.key.id))
            threads = [Thread(target=collect, args=(call, answers)) for call in calls]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert here.code(unseen(made)) == here.cold_code(unseen(made)) == "revoked"
            for one in answers:
                if isinstance(one, ResetAnswer):
                    assert here.code(unseen(one)) == "revoked"
