"""Laws 1 to 7 over random histories, on the real flows and both databases.

After each step every secret there ever was is presented three times: to a verifier that has followed the feed, to one
that has just started, and to the model.  All three must agree, to the microsecond.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from keyturn.core import duration
from keyturn.core.account import Role
from keyturn.core.actor import Actor, Channel
from keyturn.core.allowlist import covers as networks_cover
from keyturn.core.audit import AuditRecord
from keyturn.core.instant import Instant, to_micros
from keyturn.core.key import Key
from keyturn.core.permission import covers
from keyturn.core.refusal import Refusal, TooManyRequests
from keyturn.core.secret import fingerprint
from keyturn.core.throttle import FREE, Counted
from keyturn.flow import policy as policy_flow
from keyturn.flow.follow import Follower
from keyturn.flow.key import KeyEdit
from keyturn.flow.replay import Once
from keyturn.ports.page import Page
from keyturn.verify.decision import MISS
from keyturn.verify.verifier import Verifier
from tests.flow.model import NEVER, MKey, MReset, MSecret, Terms
from tests.world import World, begun_at, sure, world

FULL = os.environ.get("KEYTURN_TEST_FULL") == "1"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta(microseconds=1)
MOST_KEYS = 4
ATTEMPTS = 3
FRESH = 10 * MINUTE

WRITE, READ = "orders:write", "orders:read"
ADDRESS = "192.0.2.5"

ZERO = timedelta(0)
POLICIES: dict[str, list[Any]] = {
    "cool_down": [ZERO, ZERO, HOUR, DAY],
    "dangerous_only": [True, False],
    "grace_default": [ZERO, HOUR],
    "grace_max": [HOUR, DAY, None],
    "wait": [True, False],
    "quiet": [None, None, 20 * MINUTE],
}
REASONS = ["lost", "leaked", "suspicious", "routine", "routine", "personnel", "policy"]
GRACES = [None, None, ZERO, timedelta(seconds=1), HOUR, DAY, 8 * DAY]
NARROWINGS: list[dict[str, Any] | None] = [
    *[None] * 6,
    {"permissions": ("orders:read",)},
    {"permissions": ("orders:admin",)},
    {"allowlist": ("192.0.2.0/24",)},
    {"expires_in": 2 * HOUR},
    {"expires_in": 400 * DAY},
]
PICK = list(range(60))
KEY = [0, 0, 0, 1, 2]
MOSTLY = [True, True, True, True, False]
STEPS: dict[str, tuple[int, dict[str, list[Any]]]] = {
    # How often, and with what.
    "create": (1, {}),
    "ask": (
        7,
        {
            "choice": KEY,
            "who": ["person", "person", "machine", "machine", "machine", "key"],
            "reason": REASONS,
            "grace": GRACES,
            "narrow": NARROWINGS,
        },
    ),
    "reset_in_person": (4, {"choice": KEY, "reason": REASONS, "pause": [ZERO, MINUTE, 10 * MINUTE, 31 * MINUTE]}),
    "prove": (3, {"choice": KEY, "right": MOSTLY, "session": MOSTLY}),
    "mint": (3, {"choice": KEY, "session": MOSTLY}),
    "cancel": (1, {"choice": KEY}),
    "finish": (1, {"choice": KEY, "which": PICK}),
    "use": (5, {"choice": KEY, "which": PICK, "write": [True, False]}),
    "report": (3, {}),
    "suspend": (1, {"choice": KEY}),
    "resume": (3, {"choice": KEY, "machine": [True, False]}),
    "revoke": (1, {"choice": KEY, "sure_of_it": [0, 1, 2, 3]}),
    "edit": (
        1,
        {
            "choice": KEY,
            "permissions": [(WRITE,), ("orders:admin",), ("*:write",)],
            "expiry": [None, None, None, HOUR, 3 * DAY],
        },
    ),
    "change_policy": (1, {}),
    "wait": (3, {"span": [timedelta(seconds=1), MINUTE, 11 * MINUTE, 31 * MINUTE, HOUR, DAY, 8 * DAY]}),
    "wait_for_a_date": (4, {"choice": [0, 0, 0, 1, 2, 3], "off": [-TICK, ZERO, TICK]}),
    "clock_set_back": (1, {}),
    "replay": (1, {"choice": PICK}),
}
NAMES = [name for name, (often, _) in STEPS.items() for _ in range(often)]
seeds = st.integers(0, 2**64 - 1)
BURST = 4


def some_policy(chance: Random) -> Terms:
    return Terms(**{name: chance.choice(values) for name, values in POLICIES.items()})


def wire(terms: Terms) -> dict[str, Any]:
    return {
        "cool_down": duration.to_text(terms.cool_down),
        "cool_down_scope": "dangerous_only" if terms.dangerous_only else "whole_key",
        "grace_default": duration.to_text(terms.grace_default),
        "grace_max": "until_stopped" if terms.grace_max is None else duration.to_text(terms.grace_max),
        "wait_for_first_use": terms.wait,
        "quiet_after": None if terms.quiet is None else duration.to_text(terms.quiet),
        "proofs": ["password"],
        "attempts": ATTEMPTS,
        "max_keys_per_user": MOST_KEYS,
        "self_reset": "allowed",
    }


def shorter(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    return min((span for span in (one, other) if span is not None), default=None)


def plain(instant: datetime) -> datetime:
    return NEVER if instant.year == 9999 else instant.replace(tzinfo=None)


class Histories(RuleBasedStateMachine):
    """One account, its keys, and whoever may do something to them."""

    here: World
    mirror: Verifier

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        here = self.here
        self.terms = terms = some_policy(Random(seed))
        note(f"begin {terms}")
        self.count = 0
        self.policy_name = here.policy(**wire(terms))
        self.account = here.account(policy=self.policy_name)
        self.owner = here.user(self.account)
        keeper = here.user(self.account, Role.ADMIN)
        self.machine = here.machine(self.account, keeper, "*:admin", "keyturn.accounts:write")
        self.person, self.elsewhere = here.sign_in(self.owner), here.sign_in(self.owner)
        self.keys: list[MKey] = []
        self.seen: set[str] = set()
        self.replays: list[Callable[[], Any]] = []
        self.unreported: list[tuple[MKey, int, datetime]] = []
        self.narrowing: dict[str, datetime] = {}
        self.wrong: Counter[str] = Counter()
        self.numbers = 0
        self.mark()
        self.create()

    # What the world is asked

    @property
    def now(self) -> datetime:
        return plain(self.here.store.read(lambda tx: tx.now))

    def mark(self) -> None:
        newest = self.here.store.read(lambda tx: tx.audit(account_ids=None, subject_id=None, page=Page(size=1)))
        self.audited = newest[0][0]

    def news(self) -> list[AuditRecord]:
        """What was recorded since the last look, oldest first."""
        newest = self.here.store.read(lambda tx: tx.audit(account_ids=None, subject_id=None, page=Page(size=50)))
        new = [one for number, one in reversed(newest) if number > self.audited]
        assert len(new) < 50
        self.mark()
        return new

    def recorded(self, *expected: str, refusal: object = None, also: tuple[str, ...] = ()) -> None:
        """Law 4: one record for each change, and one for a refused attempt."""
        new = self.news()
        told = Counter(one.action for one in new if one.action != "reset.lapsed")
        if isinstance(refusal, Refusal):
            assert [(one.action, one.outcome) for one in new if one.action != "reset.lapsed"] == [
                (expected[-1], refusal.kind)
            ]
            return
        assert told == Counter((*expected, *also)), (told, expected, also)
        assert {one.outcome for one in new} <= {"done"}

    def once(self) -> Once:
        self.numbers += 1
        return Once(caller="c", idempotency_key=f"{self.account.id}-{self.numbers}", request=b"r" * 32)

    def key(self, choice: int) -> MKey:
        return self.keys[choice % len(self.keys)]

    def take(self, answer: Any) -> str:
        """Law 6: a secret is handed to one caller, once."""
        text: str = answer.secret.reveal
        assert text not in self.seen
        self.seen.add(text)
        return text

    # One step

    @rule(seed=seeds)
    def steps(self, seed: int) -> None:
        """A few of `STEPS` by weight.  Drawn by hypothesis piece by piece, most histories would stand still."""
        for _ in range(BURST):
            self.count += 1
            chance = Random(f"{seed}/{self.count}")
            name = chance.choice(NAMES)
            words = {word: chance.choice(values) for word, values in STEPS[name][1].items()}
            if name == "change_policy":
                words["terms"] = some_policy(chance)
            note(f"{name} {words}")
            getattr(self, name)(**words)
            self.laws_1_and_2()

    def reset_in_person(self, choice: int, reason: str, pause: timedelta) -> None:
        self.ask(choice, "person", reason, None, None)
        self.prove(choice, right=True, session=True)
        self.laws_1_and_2()
        self.here.clock.advance(pause)
        self.mint(choice, session=True)

    def create(self) -> None:
        """Law 5: live keys never exceed the limit."""
        now = self.now
        live = sum(not one.revoked and now < one.expires for one in self.keys)
        once = self.once()

        def attempt() -> Any:
            return self.here.try_key(
                self.here.root,
                once,
                account_id=self.account.id,
                owner_id=self.owner.id,
                policy=self.policy_name,
                permissions=(WRITE,),
            )

        made = attempt()
        self.recorded("key.created", refusal=made)
        if live >= MOST_KEYS:
            assert isinstance(made, Refusal)
            assert made.kind == "key_limit_reached"
            return
        made = sure(made)
        self.keys.append(MKey(made.key.id, NEVER, [MSecret(self.take(made), now, now)]))
        self.replays.append(attempt)

    def ask(self, choice: int, who: str, reason: str, grace: timedelta | None, narrow: dict[str, Any] | None) -> None:
        """Law 3: permissions, allowlist and expiry never widen along resets."""
        model, now = self.key(choice), self.now
        before = self.here.get(model.id)
        actor = {"person": self.person, "machine": self.machine, "key": self.here.as_key(before, Channel.KEY)}[who]
        once = self.once()
        words: dict[str, Any] = {"reason": reason, "grace": grace}
        expires = NEVER
        if narrow is not None:
            words["narrow"] = {name: value for name, value in narrow.items() if name != "expires_in"}
            if "expires_in" in narrow:
                expires = now + narrow["expires_in"]
                words["narrow"]["expires_at"] = Instant(expires.replace(tzinfo=UTC))

        def attempt() -> Any:
            return self.here.ask(actor, model.id, once=once, **words)

        answer = attempt()
        expected = self.expected(model, reason, grace, narrow, before, now)
        if expected:
            self.recorded("reset.asked", refusal=answer)
            assert isinstance(answer, Refusal)
            assert answer.kind == expected
            return
        answer = sure(answer)
        self.replays.append(attempt)
        reset = self.model_reset(answer.reset.id, reason, grace, actor, now)
        reset_expiry = expires
        model.ask(reset)
        if who == "person":
            self.narrowing[reset.id] = reset_expiry
            self.recorded("reset.asked")
            assert answer.secret is None
            return
        self.minted(model, reset, answer, before, reset_expiry, ("reset.asked", "reset.proven", "reset.minted"))

    def expected(
        self, model: MKey, reason: str, grace: timedelta | None, narrow: dict[str, Any] | None, key: Key, now: datetime
    ) -> str:
        """The kind of the refusal, or empty."""
        if model.revoked:
            return "key_revoked"
        if now >= model.expires:
            return "key_expired"
        if model.open_reset(now):
            return "reset_already_open"
        most = self.terms.grace_max
        if grace is not None and most is not None and grace > most and reason not in ("leaked", "suspicious"):
            return "grace_too_long"
        narrow = narrow or {}
        if not covers(key.permissions, narrow.get("permissions", ())):
            return "widening_refused"
        if "allowlist" in narrow and not networks_cover(key.allowlist, narrow["allowlist"]):
            return "widening_refused"
        if "expires_in" in narrow and now + narrow["expires_in"] > model.expires:
            return "widening_refused"
        return ""

    def model_reset(self, reset_id: str, reason: str, grace: timedelta | None, actor: Actor, now: datetime) -> MReset:
        terms = replace(self.terms)
        given = terms.grace_default if grace is None else grace
        longest: timedelta | None = terms.grace_max if terms.wait else given
        if reason == "lost":
            given, longest = timedelta(0), terms.grace_max
        return MReset(reset_id, reason, actor.session or actor.id, now, terms, given, longest)

    def minted(
        self, model: MKey, reset: MReset, answer: Any, before: Key, expires: datetime, actions: tuple[str, ...]
    ) -> None:
        now = self.now
        waiting = [one for one in model.resets if one.stage == "minted"]
        if reset.stage == "asked":
            model.prove(reset, now)
        model.expires = min(model.expires, expires)
        model.mint(reset, self.take(answer), now)
        ended = sum(one.stage == "ended" for one in waiting)
        self.recorded(*actions, also=("reset.ended",) * ended)
        after = self.here.get(model.id)
        assert covers(before.permissions, after.permissions)
        assert networks_cover(before.allowlist, after.allowlist)
        assert after.expires_at <= before.expires_at
        kept = (
            "id",
            "number",
            "account_id",
            "owner_id",
            "name",
            "environment",
            "brand",
            "limit",
            "policy",
            "created_at",
        )
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        assert answer.reset.old_stops_at is None or plain(answer.reset.old_stops_at) == max(
            one.stops if not one.dead else min(one.stops, plain(self.stopped_at(after, n + 1)))
            for n, one in enumerate(model.secrets[:-1])
            if after.secret(n + 1)
        )

    @staticmethod
    def stopped_at(key: Key, version: int) -> datetime:
        secret = key.secret(version)
        assert secret is not None
        return secret.stopped_at or secret.stops_at

    def prove(self, choice: int, *, right: bool, session: bool) -> None:
        model, now = self.key(choice), self.now
        reset = next((one for one in reversed(model.resets) if one.by == self.person.session), None)
        if reset is None:
            return
        once = self.once()
        actor = self.person if session else self.elsewhere

        def attempt() -> Any:
            return self.here.prove(actor, reset.id, matched="stored" if right else "", once=once)

        was_open = reset.open(now)
        answer = attempt()
        self.recorded("reset.proven", refusal=answer)
        if not was_open:
            assert isinstance(answer, Refusal)
            assert answer.kind in ("reset_lapsed", "reset_out_of_order")
        elif isinstance(answer, TooManyRequests):
            assert self.wrong[actor.session] >= FREE[Counted.OWN]  # K8: it was not looked at, and changes nothing
        elif right and session:
            sure(answer)
            model.prove(reset, now)
            self.wrong[actor.session] = 0
            self.replays.append(attempt)
        else:
            assert isinstance(answer, Refusal)
            reset.wrong += 1
            self.wrong[actor.session] += 1
            assert answer.kind == ("proof_refused" if reset.wrong < ATTEMPTS else "too_many_attempts")
            if reset.wrong == ATTEMPTS:
                reset.stage = "ended"

    def mint(self, choice: int, *, session: bool) -> None:
        model, now = self.key(choice), self.now
        reset = next((one for one in reversed(model.resets) if one.by == self.person.session), None)
        if reset is None:
            return
        before = self.here.get(model.id)
        once = self.once()
        actor = self.person if session else self.elsewhere

        def attempt() -> Any:
            return self.here.mint(actor, reset.id, once)

        expires = self.narrowing.get(reset.id, NEVER)
        fresh = reset.proved is not None and now - reset.proved < FRESH
        may = session and reset.open(now) and reset.stage == "proven" and fresh
        may = may and not model.revoked and now < min(model.expires, expires)
        answer = attempt()
        if not may:
            assert isinstance(answer, Refusal)
            self.recorded("reset.minted", refusal=answer)
            return
        self.minted(model, reset, sure(answer), before, expires, ("reset.minted",))
        self.replays.append(attempt)

    def cancel(self, choice: int) -> None:
        model, now = self.key(choice), self.now
        if not model.resets:
            return
        reset = model.resets[-1]
        was_open = reset.open(now)
        answer = self.here.step("cancel", self.machine, reset.id)
        self.recorded("reset.cancelled", refusal=answer)
        assert isinstance(answer, Refusal) is not was_open
        if was_open:
            reset.stage = "ended"

    def finish(self, choice: int, which: int) -> None:
        """Stop now."""
        model, now = self.key(choice), self.now
        if not model.resets:
            return
        reset = model.resets[which % len(model.resets)]
        answer = self.here.step("finish", self.machine, reset.id)
        old = [one for one in model.secrets[: max(reset.new, 0)] if not one.over(now)]
        since = [one for one in model.secrets[max(reset.new, 0) :] if not one.over(now) and one.dangerous <= now]
        if isinstance(answer, Refusal):
            assert reset.stage != "minted" or not (old and since)
            self.recorded("reset.finished", refusal=answer)
            return
        assert reset.stage == "minted"
        assert since or not old, "R21: something is left"
        self.recorded(*(("reset.finished",) if model.finish(reset, now) else ()))

    def use(self, choice: int, which: int, *, write: bool) -> None:
        """Somebody presents a secret to the verifier that reports uses; refused or not, nothing is audited."""
        model, now = self.key(choice), self.now
        index = which % len(model.secrets)
        secret = model.secrets[index]
        wanted = WRITE if write else READ
        verdict = self.ask_verifier(self.here.verifier, secret.text, wanted, now)
        if verdict == "valid" and secret.watched:
            secret.last_use = max(secret.last_use or now, now)
            self.unreported.append((model, index, now))
        self.recorded()

    def report(self) -> None:
        """Uses are written down and the graces that fell quiet end; with it dead, every answer was still right (R2)."""
        now = self.now
        self.here.housekeeper.tick()
        first: dict[tuple[str, int], datetime] = {}
        for model, index, used in self.unreported:
            first[model.id, index] = min(used, first.get((model.id, index), used))
        for model in self.keys:
            for index in range(len(model.secrets)):
                if (model.id, index) in first:
                    model.first_use(index, first[model.id, index], now)
        self.unreported = []
        for model in self.keys:
            model.end_quiet(now)
        new = self.news()
        assert {one.action for one in new} <= {"reset.settled", "reset.first_used", "reset.finished", "reset.lapsed"}
        assert {(one.actor_id, one.outcome) for one in new} <= {("system", "done")}

    def suspend(self, choice: int) -> None:
        model = self.key(choice)
        answer = self.here.on_key("suspend", self.elsewhere, model.id, reason="why")
        if model.revoked:
            assert isinstance(answer, Refusal)
            self.recorded("key.suspended", refusal=answer)
            return
        self.recorded(*(() if model.suspended else ("key.suspended",)))
        model.suspended = True

    def resume(self, choice: int, *, machine: bool) -> None:
        """Law 1: a leaked secret is accepted again after a resume with full proof only."""
        model, now = self.key(choice), self.now
        opened = model.open_reset(now)
        proved = opened is not None and opened.by == self.person.session and opened.stage == "proven"
        proved = proved and opened is not None and opened.proved is not None and now - opened.proved < FRESH
        answer = self.here.on_key("resume", self.machine if machine else self.person, model.id)
        if model.revoked or not (machine or proved):
            assert isinstance(answer, Refusal)
            self.recorded("key.resumed", refusal=answer)
            return
        sure(answer)
        if not model.suspended:
            self.recorded()
            return
        self.recorded("key.resumed", also=("reset.ended",) if opened else ())
        model.suspended = False
        if opened:
            opened.stage = "ended"

    def revoke(self, choice: int, sure_of_it: int) -> None:
        model, now = self.key(choice), self.now
        if sure_of_it:
            return
        opened = model.open_reset(now)
        sure(self.here.on_key("revoke", self.machine, model.id))
        if model.revoked:
            self.recorded()
            return
        self.recorded("key.revoked", also=("reset.ended",) if opened else ())
        model.revoked = True
        if opened:
            opened.stage = "ended"

    def edit(self, choice: int, permissions: tuple[str, ...], expiry: timedelta | None) -> None:
        model, now = self.key(choice), self.now
        expires = None if expiry is None else Instant((now + expiry).replace(tzinfo=UTC))
        before = self.here.get(model.id)
        answer = self.here.on_key(
            "edit", self.machine, model.id, edit=KeyEdit(permissions=permissions, expires_at=expires)
        )
        if model.revoked or now >= model.expires:
            assert isinstance(answer, Refusal)
            self.recorded("key.edited", refusal=answer)
            return
        sure(answer)
        self.recorded(*(("key.edited",) if self.here.get(model.id) != before else ()))
        if expiry is not None:
            model.expires = now + expiry

    def change_policy(self, terms: Terms) -> None:
        """R32: new resets follow it, open ones where it is stricter, minted ones not at all."""
        now = self.now
        store = self.here.store
        sure(
            store.change(
                lambda tx: policy_flow.store(
                    tx, actor=self.here.root, name=self.policy_name, base="tradingonramp", fields=wire(terms)
                )
            )
        )
        self.recorded("policy.stored")
        self.terms = terms
        for model in self.keys:
            reset = model.open_reset(now)
            if reset is None or model.revoked or now >= model.expires:
                continue
            had = reset.terms
            reset.terms = Terms(
                cool_down=max(had.cool_down, terms.cool_down),
                dangerous_only=had.dangerous_only and terms.dangerous_only,
                grace_default=min(had.grace_default, terms.grace_default),
                grace_max=shorter(had.grace_max, terms.grace_max),
                wait=had.wait and terms.wait,
                quiet=shorter(had.quiet, terms.quiet),
            )
            reset.grace = shorter(reset.grace, reset.terms.grace_max)
            reset.longest = shorter(reset.longest, reset.terms.grace_max)
            if had.wait and not terms.wait and reset.reason != "lost":
                reset.longest = shorter(reset.longest, reset.grace)

    def wait(self, span: timedelta) -> None:
        self.here.clock.advance(span)

    def wait_for_a_date(self, choice: int, off: timedelta) -> None:
        """To a microsecond before, at or after a date that decides something."""
        now = self.now
        dates = [model.expires for model in self.keys]
        for model in self.keys:
            dates += [date for one in model.secrets for date in (one.starts, one.dangerous, one.stops)]
            dates += [one.asked + 30 * MINUTE for one in model.resets]
        due = sorted(date for date in dates if now < date < NEVER)
        if due:
            self.here.clock.at = Instant((due[choice % len(due)] + off).replace(tzinfo=UTC))

    def clock_set_back(self) -> None:
        """After a change: below what that has written down time does not fall (F8)."""
        self.change_policy(self.terms)
        self.here.clock.advance(-HOUR)

    def replay(self, choice: int) -> None:
        """Law 7: replaying any prefix of the requests changes nothing twice."""
        if not self.replays:
            return
        upto = choice % len(self.replays) + 1
        before = [self.here.get(one.id) for one in self.keys], self.here.store.rev()
        for attempt in self.replays[:upto]:
            answer = attempt()
            assert isinstance(answer, Refusal) or answer.secret is None
            assert not isinstance(answer, Refusal), answer
        assert ([self.here.get(one.id) for one in self.keys], self.here.store.rev()) == before
        self.recorded()

    # What must hold

    def ask_verifier(self, verifier: Verifier, text: str, wanted: str, now: datetime) -> str:
        micros = to_micros(Instant(now.replace(tzinfo=UTC)))
        verdict = verifier.verify(text, permissions=(wanted,), ip=ADDRESS, now=micros)
        if verdict is MISS:
            verdict = verifier.verify_cold(
                fingerprint(text), self.here.store.lookup, permissions=(wanted,), ip=ADDRESS, now=micros
            )
        return verdict.code

    @invariant()
    def laws_1_and_2(self) -> None:
        """Laws 1 and 2: accepted within its dates only, at most two at once, alike warm, cold and in the model."""
        if not hasattr(self, "keys"):
            return
        now = self.now
        fresh = Verifier()
        fresh.start_at(rev=self.here.store.rev(), now=0)
        for model in self.keys:
            key = self.here.get(model.id)
            accepted = 0
            for index, secret in enumerate(model.secrets):
                for wanted in (READ, WRITE):
                    must = model.accepted(index, now, write=wanted == WRITE)
                    must = must and covers(key.permissions, (wanted,))
                    warm = self.ask_verifier(self.mirror, secret.text, wanted, now)
                    cold = self.ask_verifier(fresh, secret.text, wanted, now)
                    assert warm == cold
                    assert (warm == "valid") is must, (warm, wanted, index, model, now)
                accepted += model.accepted(index, now, write=False)
            assert accepted <= 2
            handover = [one for one in model.resets if one.stage == "minted"]
            assert accepted <= 1 or handover
            assert plain(key.expires_at) == model.expires
        assert self.mirror.applied_rev == self.here.store.rev()


def test_laws_1_to_7_hold_over_random_histories(database_url: str) -> None:
    with world(database_url) as here:
        mirror = begun_at(here.store)
        following, mirroring = here.follower, Follower(here.store, mirror)

        def follow(entries: Any) -> None:
            following.committed(entries)
            mirroring.committed(entries)

        here.store.follow = follow
        machine = type("Laws", (Histories,), {"here": here, "mirror": mirror})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=(300 if FULL else 24) // (1 if database_url.startswith("sqlite") else 2),
                stateful_step_count=30 if FULL else 10,
                deadline=None,
                phases=[Phase.generate],  # a history names its steps; shrinking takes minutes, and leads to little
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
