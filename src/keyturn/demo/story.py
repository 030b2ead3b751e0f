"""The story: one key leaks and is reset; another is handed over in peace.

What is claimed is counted, and a claim that does not hold makes the demo fail.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from keyturn.core import duration
from keyturn.core.instant import from_text
from keyturn.demo.house import DemoError
from keyturn.demo.narration import Narration, milliseconds
from keyturn.demo.seed import STORY_KEYS, Seeded
from keyturn.demo.traffic import Caller, wait_for
from keyturn.outside import clock
from keyturn.sdk.client import Client

Json = dict[str, Any]
GRACE: Final = timedelta(seconds=3)
_PERMISSION: Final = "payouts:write"
_THIEF: Final = "203.0.113.66"
_HOME: Final = "192.0.2.20"
_AGENT: Final = "nightly-report/1.4"
_WATCH_SECONDS: Final = 1.0
_LATEST: Final = timedelta(seconds=0.5)


class Story:
    """Plays it through the API as `operator`, with verifications by `gateway` clients."""

    def __init__(
        self, operator: Client, new_gateway: Callable[[], Client], seeded: Seeded, narration: Narration
    ) -> None:
        self._operator, self._new_gateway = operator, new_gateway
        self._seeded, self._tell = seeded, narration

    def play(self) -> Json:
        """Both acts; the answer holds what was counted.  Raises DemoError where a claim does not hold."""
        return {"leaked": self._leaked(), "routine": self._routine()}

    def _leaked(self) -> Json:
        tell = self._tell
        tell.title("1. A key leaks")
        key = self._issue(STORY_KEYS[0])
        with self._new_gateway() as gateway, self._new_gateway() as loop:
            self._accepted(gateway, "verify", key["secret"])
            with Caller(loop, key["secret"], address=_THIEF, agent="copied-script/0.1") as thief:
                _enough(thief, 100)
                tell.step("somebody copied", f"and uses it in a loop: {len(thief.sent)} requests so far, all accepted")
                _claim(all(one.accepted for one in thief.sent), "the key was refused before its reset")
                asked = clock.tick()
                reset = self._operator.reset_key(key["id"], reason="leaked")
                returned = clock.tick()
                tell.step("reset: leaked", _receipt(reset), took=milliseconds(returned - asked), good=True)
                _claim(reset["receipt"]["confirmed"], f"the reset is not confirmed: {reset['receipt'].get('reason')}")
                wait_for(lambda: bool(thief.failure) or clock.tick() - returned > _WATCH_SECONDS, seconds=10)
                _enough(thief, 1, since=returned)
            after = thief.since(returned)
            accepted = sum(one.accepted for one in after)
            code = after[-1].code
            text = f"{code}: {len(after)} requests since the reset returned, {accepted} accepted"
            tell.step("old secret", text, good=accepted == 0)
            _claim(accepted == 0, "a request sent after the reset had returned was accepted")
            self._accepted(gateway, "new secret", reset["secret"])
        before = [one for one in thief.sent if one.accepted]
        last = milliseconds(returned - before[-1].tick)
        tell.step("so", f"the last accepted request was sent {last} before the reset returned")
        return {
            "key_id": key["id"],
            "reset_id": reset["id"],
            "old_code": code,
            "accepted_before": len(before),
            "sent_after": len(after),
            "accepted_after": accepted,
            "reset_ms": round((returned - asked) * 1000, 3),
            "receipt": reset["receipt"],
        }

    def _routine(self) -> Json:
        tell = self._tell
        tell.title(f"2. Another is due, and its programs need {duration.to_text(GRACE)} to follow")
        key = self._issue(STORY_KEYS[1])
        with (
            self._new_gateway() as gateway,
            self._new_gateway() as loop,
            Caller(loop, key["secret"], address=_HOME, agent=_AGENT, pause=0.005) as straggler,
        ):
            _enough(straggler, 20)
            asked = clock.tick()
            reset = self._operator.reset_key(key["id"], reason="routine", grace=GRACE)
            took = milliseconds(clock.tick() - asked)
            ends = from_text(reset["old_stops_at"])
            tell.step("reset: routine", f"the old secret goes on until {ends:%H:%M:%S}", took=took, good=True)
            self._accepted(gateway, "new secret", reset["secret"])
            self._accepted(gateway, "old secret", key["secret"])
            used_by = self._who_still_uses(reset["id"])
            who = f"{used_by['address']}, {used_by['user_agent']}: {used_by['count']} times"
            tell.step("who still uses", f"the old one? {who}")
            wait_for(lambda: clock.now() > ends + timedelta(milliseconds=700), seconds=10)
            _enough(straggler, 1, since=clock.tick())
            self._accepted(gateway, "new secret", reset["secret"])
        refused = next((one for one in straggler.sent if not one.accepted), None)
        _claim(refused is not None, "the old secret went on after its grace")
        assert refused is not None  # noqa: S101  # claimed in the line above
        after = refused.answered_at - ends
        _claim(after >= timedelta(0), "the old secret was refused before its grace had ended")
        late = [one for one in straggler.sent if one.accepted and one.at > ends + _LATEST]
        _claim(not late, f"the old secret was accepted more than {_LATEST.total_seconds()} s after its grace")
        accepted = sum(one.accepted for one in straggler.since(refused.tick))
        text = (
            f"{refused.code}: refused {milliseconds(after.total_seconds())} after its date, {accepted} accepted since"
        )
        tell.step("old secret", text, good=accepted == 0)
        _claim(accepted == 0, "the old secret was accepted again after it had stopped")
        return {
            "key_id": key["id"],
            "reset_id": reset["id"],
            "old_code": refused.code,
            "grace_seconds": GRACE.total_seconds(),
            "used_by": used_by,
            "refused_after_ms": round(after.total_seconds() * 1000, 3),
            "accepted_after": accepted,
        }

    def _issue(self, name: str) -> Json:
        began = clock.tick()
        key = self._operator.create_key(
            name, permissions=[_PERMISSION], account_id=self._seeded.account_id, owner_id=self._seeded.owner_id
        )
        text = f'"{name}" ({key["hint"]}) of {self._seeded.account_name}'
        self._tell.step("issue", text, took=milliseconds(clock.tick() - began), good=True)
        return key

    def _accepted(self, gateway: Client, name: str, secret: str) -> None:
        began = clock.tick()
        answer = gateway.verify(secret, permissions=[_PERMISSION], ip=_HOME)
        took = milliseconds(clock.tick() - began)
        self._tell.step(name, f"{answer['code']}, version {answer['version']}", took=took, good=answer["valid"])
        _claim(answer["valid"], f"a key that should be accepted was refused: {answer['code']}")

    def _who_still_uses(self, reset_id: str) -> Json:
        seen: list[Json] = []

        def asked() -> bool:
            seen[:] = self._operator.get_reset(reset_id)["used_by"]
            return bool(seen)

        _claim(wait_for(asked, seconds=GRACE.total_seconds()), "nobody was seen using the old secret")
        return next((one for one in seen if one["user_agent"] == _AGENT), seen[0])


def _receipt(reset: Json) -> str:
    receipt = reset["receipt"]
    confirmed = "confirmed everywhere" if receipt["confirmed"] else "not confirmed"
    return f"returned, {confirmed} (feed revision {receipt['rev']})"


def _enough(caller: Caller, count: int, *, since: clock.Tick | None = None) -> None:
    since = clock.Tick(0.0) if since is None else since
    done = wait_for(lambda: caller.failure is not None or len(caller.since(since)) >= count, seconds=20)
    if caller.failure is not None:
        raise DemoError(f"a verification went wrong: {caller.failure}")
    _claim(done, "verifications are too slow to show anything")


def _claim(holds: object, otherwise: str) -> None:
    if not holds:
        raise DemoError(f"what the demo claims does not hold: {otherwise}")
