"""Somebody who looks after some keys: resets, suspends, narrows and revokes them at whichever node answers.

Each key is one owner's, so what happens to it has an order.  What is asked for is written down before it is asked, and
completed when the answer says `confirmed: true`; a request whose answer was lost is asked again under the same
Idempotency-Key, as F10 tells callers to, and answers with a receipt of its own.
"""

import http.client
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fleet.chaos.fleet import Fleet, Key, Node
from tests.fleet.chaos.history import Stop
from tests.fleet.chaos.recording import boot_nanos
from tests.fleet.chaos.verifying import WRITE
from tests.serving import Answer

AGAIN_SECONDS: Final = 0.2
PATIENCE: Final = 90.0
"""Seconds after which a request that nobody answers is a failure of the test."""
READ: Final = "orders:read"
LONG_MS: Final = 3000
"""A stop that waited for longer than this is told of: what it waited for stands in its receipt."""
_CHORES: Final = {"reset": 40, "suspend": 4, "narrow": 4, "revoke": 2}


@dataclass
class Done:
    """What came of the work of all owners."""

    resets: list[tuple[str, int]] = field(default_factory=list)
    """Every reset that was answered: its id, and how many milliseconds its receipt says that it waited."""
    confirmed: Counter[str] = field(default_factory=Counter)
    """By kind of stop, how often it was confirmed."""
    unconfirmed: Counter[str] = field(default_factory=Counter)
    """By reason, how often it was not."""
    again: Counter[str] = field(default_factory=Counter)
    """By what stood in the way, how often something was asked again."""
    waited_out: int = 0
    """Resets that waited somebody out."""

    def take(self, kind: str, answer: Answer, stop: Stop) -> None:
        """A stop has returned."""
        receipt = answer.body["receipt"]
        if receipt["waited_ms"] > LONG_MS:
            who = receipt["verifiers"]["waited_out"]
            print(f"{boot_nanos() / 1e9:.3f} a stop waited {receipt['waited_ms']} ms, for {who}", flush=True)
        if not receipt["confirmed"]:
            self.unconfirmed[receipt["reason"]] += 1
        else:
            stop.confirmed = boot_nanos()
            self.confirmed[kind] += 1
            self.waited_out += bool(receipt["verifiers"]["waited_out"])


class Owner:
    """One thread's work."""

    def __init__(self, fleet: Fleet, done: Done, *, nodes: Sequence[Node], seed: str, keys: int) -> None:
        self.failure: BaseException | None = None
        self._fleet = fleet
        self._done = done
        self._nodes = nodes
        self._random = random.Random(seed)
        self._seed = seed
        self._asked = 0
        self._pausing = threading.Event()
        self._keys = [fleet.key(nodes[0]) for _ in range(keys)]

    def run(self, enough: Callable[[], bool]) -> None:
        """Work until it is enough."""
        try:
            while not enough():
                key = self._random.choice(self._keys)
                (chore,) = self._random.choices(list(_CHORES), list(_CHORES.values()))
                {"reset": self._reset, "suspend": self._suspend, "narrow": self._narrow, "revoke": self._revoke}[chore](
                    key
                )
        except BaseException as error:  # noqa: BLE001  # it is raised again where the test looks
            self.failure = error

    def _reset(self, key: Key) -> None:
        """Reset it, and again where the answer with the new secret was lost."""
        while True:
            stop = self._fleet.history.begun(Stop(key=key.number, through=key.version, begin=boot_nanos()))
            answer = self._ask(f"/v1/keys/{key.id}/resets", {"reason": "leaked"})
            self._done.take("reset", answer, stop)
            self._done.resets.append((answer.body["id"], answer.body["receipt"]["waited_ms"]))
            key.version = answer.body["new_version"]
            if answer.body["secret"] is not None:
                self._fleet.show(key, answer.body["secret"])
                return

    def _suspend(self, key: Key) -> None:
        stop = self._fleet.history.begun(Stop(key=key.number, begin=boot_nanos()))
        self._done.take("suspension", self._ask(f"/v1/keys/{key.id}/suspend", {}), stop)
        stop.lifted = boot_nanos()
        self._undone(stop, self._ask(f"/v1/keys/{key.id}/resume", {}))

    def _narrow(self, key: Key) -> None:
        path = f"/v1/keys/{key.id}"
        stop = self._fleet.history.begun(Stop(key=key.number, writes=True, begin=boot_nanos()))
        self._done.take("narrowing", self._ask(path, {"permissions": [READ]}, method="PATCH"), stop)
        stop.lifted = boot_nanos()
        self._undone(stop, self._ask(path, {"permissions": [WRITE]}, method="PATCH"))

    def _revoke(self, key: Key) -> None:
        """Revoke it, and have another key in its place."""
        stop = self._fleet.history.begun(Stop(key=key.number, begin=boot_nanos()))
        self._done.take("revocation", self._ask(f"/v1/keys/{key.id}/revoke", {}), stop)
        while True:
            made = self._ask("/v1/keys", {"name": "test", "permissions": [WRITE]}).body
            if made["secret"] is not None:
                self._keys[self._keys.index(key)] = self._fleet.known(made)
                return

    def _undone(self, stop: Stop, answer: Answer) -> None:
        stop.undone = boot_nanos() if answer.body["receipt"]["confirmed"] else math.inf

    def _ask(self, path: str, body: dict[str, Any], *, method: str = "POST") -> Answer:
        """Ask one node after the other until one has an answer."""
        self._asked += 1
        once = {"Idempotency-Key": f"{self._seed}-{self._asked}"} if method == "POST" else {}
        until = time.monotonic() + PATIENCE
        while True:
            node = self._random.choice(self._nodes)
            try:
                answer = node.serving.call(path, body, method=method, headers=once)
            except (OSError, http.client.HTTPException) as error:
                self._done.again[type(error).__name__] += 1
            else:
                if answer.status in (200, 201):
                    return answer
                self._done.again[answer.body["code"]] += 1
                # A node that was cut off for long takes what it has not heard of for somebody else's doing (R14).
                assert answer.status == 503 or answer.body["code"] == "key_changed", answer.text
            assert time.monotonic() < until, f"nobody answers {path}: {self._done.again}"
            self._pausing.wait(AGAIN_SECONDS)


def work(owners: Sequence[Owner], enough: Callable[[], bool]) -> None:
    """Have all of them work until it is enough.  Raises what broke."""
    threads = [threading.Thread(target=owner.run, args=[enough]) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for owner in owners:
        if owner.failure:
            raise owner.failure
