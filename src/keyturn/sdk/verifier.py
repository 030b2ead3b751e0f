"""Verifying API keys in your own process, under a lease (`fleet-protocol`, F0 to F12).

    with Verifier("https://keys.example.com", credential_file="verifier.key") as verifier:
        verdict = verifier.verify(presented, permission="orders:write", ip="192.0.2.7")

Once a reset has returned `confirmed`, no call that begins afterwards accepts the old secret: the memory of this process
is trusted only while its lease lasts.  Standard library only; safe to share between threads.  A child begins anew with
its first request, whoever has forked it; one that makes none holds no lease.
"""

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Final, Self

from keyturn.core.lease import Terms
from keyturn.core.own_secret import is_presentable, label_of
from keyturn.core.share import Wish
from keyturn.sdk.arguments import ASK_THE_NODE, Arguments, read_credential, read_name, read_stale
from keyturn.sdk.attachment import Attachment
from keyturn.sdk.clock import BOOTTIME, boot_micros, clock_ns
from keyturn.sdk.nodes import Nodes, NodeUnavailable, NotAllowed
from keyturn.sdk.questions import TooManyGuesses, Unleased, filler, lender, told_verdict
from keyturn.verify.borrower import Borrower
from keyturn.verify.counters import Counters
from keyturn.verify.decision import ASK, MALFORMED_VERDICT, MISS, Verdict, wait_verdict
from keyturn.verify.entry import Profile
from keyturn.verify.holder import Holder
from keyturn.verify.shares import Shares
from keyturn.verify.stops import PastLost
from keyturn.verify.verifier import Verifier as Memory

__all__ = ["LeaseLapsed", "NodeUnavailable", "NotAllowed", "Verifier"]

_MOST_SHARES: Final = 100_000
_TRIES: Final = 16
_FIRST_LEASE: Final = 5_000_000
"""Microseconds for which a child waits for its first lease where it may not ask."""
_NOT_HEARD: Final = "this process has not heard from its authority in time"
_PAST_LOST: Final = "the authority has lost a part of its past, and what has stopped in it; raise the epoch"
_ASK_A_NODE: Final = Verdict(ASK, b"", Profile((), (), None), 0)
log = logging.getLogger("keyturn.sdk")


class LeaseLapsed(ConnectionError):  # noqa: N818  # says what stands in the way
    """This process has not heard from its authority in time, and does not guess.  Answer 503, not 401.

    Nor does it where the authority has lost a part of its past (F9), and the key may have stopped in that.
    """


class Verifier:
    """Answers from memory while it holds a lease; otherwise as `on_lapse` says.

    `urls`: one node or several of one deployment; it moves to the next when one goes away.
    `credential`: a key with `keyturn.attach`, or the file it lies in.
    `on_lapse`: what happens when the authority was not heard from in time: `ask` a node about each request (default),
    `refuse` with `LeaseLapsed`, or `stale:<duration>`, such as `stale:30s`: go on answering from memory for that long.
    The last is your explicit choice of availability: resets are then not confirmed (F12), and while no node can be
    reached this process counts rate limits by itself.

    Raises ValueError for an address that cannot be used, and OSError for a file that cannot be read.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        credential: str | None = None,
        *,
        credential_file: str | Path | None = None,
        on_lapse: str = ASK_THE_NODE,
        name: str = "",
        ca_file: str | Path | None = None,
        allow_plain_http: bool = False,
        most_keys: int = 1_000_000,
    ) -> None:
        shown = read_credential(credential, credential_file)
        self._nodes = Nodes(urls, shown, ca_file=ca_file, allow_plain_http=allow_plain_http)
        self._stale = read_stale(on_lapse)
        self._asks = on_lapse == ASK_THE_NODE
        self._name = name
        self._most_keys = most_keys
        arguments = Arguments()
        self._wanted, self._read_wanted = arguments.wanted, arguments.read_wanted
        self._addresses, self._read_address = arguments.addresses, arguments.read_address
        self._closed = False
        self._first_by = 0
        self._turns: dict[int, RLock] = {}
        self._begin()
        self._attachment.start()

    def verify(
        self, presented: str, *, permission: str | Iterable[str] = (), ip: str | None = None, user_agent: str = ""
    ) -> Verdict:
        """Decide on a presented secret: true where the request may go on, else its `code` says why not.

        `permission` is what the request needs, all of it.  `ip` is the client's own address, as your trusted proxies
        tell it; a key with an allowlist is refused without.
        Where nodes have to be asked, one after the other, each has five seconds and all of them together have ten, from
        the start of the call on (the system looks up their names in a time of its own).
        Raises ValueError for a permission or address that is none, LeaseLapsed, NodeUnavailable where a node had to be
        asked and none answered, and NotAllowed where it refuses this verifier: each means that nothing is let through.
        """
        try:
            wanted = self._wanted[permission]  # what is not hashable is read each time
        except (KeyError, TypeError):
            wanted = self._read_wanted(permission)
        if ip is not None:
            ip = self._addresses.get(ip) or self._read_address(ip)
        try:
            fingerprint = sha256(presented.encode()).digest()
        except UnicodeEncodeError:
            return MALFORMED_VERDICT
        if not self._here[0]:  # before the lease, which is its parent's (F10)
            self._begin_anew()
        # The time first, then the lease, then the memory (F3).
        boot = clock_ns(BOOTTIME) // 1000  # `boot_micros` without its call
        holder = self._holder
        if boot < holder.deadline or (self._stale and holder.deadline and boot < holder.deadline + self._stale):
            now = boot + holder.ahead
            entry = self._held(fingerprint)
            verdict = MISS if entry is None else self._decide(entry, wanted, ip, user_agent, now)
            if verdict is MISS or verdict.code == ASK:
                with self._nodes.waiting(boot):
                    if verdict is MISS:
                        verdict = self._look_up(presented, fingerprint, wanted, ip, user_agent, now)
                    if verdict.code == ASK:
                        again = partial(self._again, presented, fingerprint, wanted, ip, user_agent)
                        verdict = self._borrow(verdict, again)
            if verdict.code != ASK:
                return verdict
        self._attend()
        if not self._asks and self._waited_for_first():
            return self.verify(presented, permission=wanted, ip=ip, user_agent=user_agent)
        if not self._asks and not self._may_answer():
            raise LeaseLapsed(_NOT_HEARD)
        with self._nodes.waiting(boot):
            return self._ask(presented, fingerprint, wanted, ip, user_agent)

    def verify_warm(
        self,
        presented: str,
        *,
        permission: str | Iterable[str] = (),
        ip: str | None = None,
        user_agent: str = "",
        again: bool = False,
    ) -> Verdict | None:
        """`verify` as far as memory can answer, without waiting for anything: None where a node has to be asked.

        For event loops: ask `verify` in a thread then.
        `again`: for somebody who was let in before and is still there, such as an open WebSocket; it counts as a use,
        but not against the key's limit.
        Raises ValueError and LeaseLapsed as `verify` does.
        """
        try:
            wanted = self._wanted[permission]
        except (KeyError, TypeError):
            wanted = self._read_wanted(permission)
        if ip is not None:
            ip = self._addresses.get(ip) or self._read_address(ip)
        if not self._here[0]:  # in the order of `verify` (F3, F10)
            self._begin_anew()
        boot = boot_micros()
        holder = self._holder
        if boot < holder.deadline or (self._stale and holder.deadline and boot < holder.deadline + self._stale):
            now = boot + holder.ahead
            decide = self._memory.verify_again if again else self._memory.verify
            verdict = decide(presented, permissions=wanted, ip=ip, user_agent=user_agent, now=now)
            return None if verdict is MISS or verdict.code == ASK else verdict
        self._attend()
        # The first lease may have come since this was found without one.
        if not self._asks and not self._waits_for_first() and not self._may_answer():
            raise LeaseLapsed(_NOT_HEARD)
        return None

    def wait_until_leased(self, timeout: float = 10.0) -> bool:
        """Wait for the first lease, at most that many seconds; whether there is one.  Nothing needs it but warm-up."""
        self._begin_anew()
        self._attend()
        return self._attachment.joined.wait(timeout)

    @property
    def instance(self) -> str:
        """How this process is called in receipts; another one after each start and fork."""
        self._begin_anew()
        return self._holder.instance

    @property
    def lease(self) -> float:
        """For how many seconds memory may still answer; 0 where it may not."""
        self._begin_anew()
        return max(0, self._holder.deadline - boot_micros()) / 1e6

    @property
    def node(self) -> str:
        """The address of the node it is attached to; empty where there is none."""
        self._begin_anew()
        return self._attachment.node

    @property
    def refused(self) -> str:
        """Why a node does not let this verifier attach: the code of its refusal; empty where none refuses."""
        self._begin_anew()
        return self._attachment.refused

    def close(self) -> None:
        """Report what was counted, let the lease go and end the stream.  From then on each request is a LeaseLapsed.

        One that nobody holds any more does the same, without waiting for it.
        """
        with self._turn():
            self._closed = True
            self._asks = False
            self._stale = 0
        self._attachment.stop()
        self._nodes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Verifier of {', '.join(self._nodes.urls)}>"

    def _begin(self) -> None:
        """A new instance: nothing in memory, no lease (F10)."""
        shares = self._shares = Shares(min(self._most_keys, _MOST_SHARES))
        self._counters, self._alone = Counters(min(self._most_keys, _MOST_SHARES)), Lock()
        self._memory = Memory(most_keys=self._most_keys, limits=shares)
        self._held, self._decide = self._memory.held, self._memory.decide
        self._holder = Holder(
            self._memory, instance=f"ver_{token_hex(10)}", terms=Terms(), name=read_name(self._name), stale=self._stale
        )
        self._attachment = Attachment(self._nodes, self._holder, self._memory, shares)
        self._latest = partial(_latest, self._holder, self._memory)
        self._borrower = Borrower(
            shares,
            lender(self._nodes),
            now=self._latest,
            latest=partial(_ahead, self._holder),
            left=self._nodes.left,
        )
        # Nothing that these threads hold leads back here: whoever is let go of leaves.
        self._forget = weakref.finalize(self, _let_go, self._attachment, self._nodes)
        self._here = self._attachment.here  # last: requests are decided by all of it from now on

    def _begin_anew(self) -> None:
        """In a child: a new instance, which is attached once it is asked anything (F10)."""
        with self._turn():
            if not self._here[0] and not self._closed:
                self._forget()
                self._nodes = self._nodes.anew()
                self._begin()

    def _turn(self) -> RLock:
        """For one thread of this process at a time: a thread of its parent may hold what was made there for ever."""
        return self._turns.setdefault(os.getpid(), RLock())

    def _attend(self) -> None:
        """Be attached, if that was put off: a child that asks nothing ends without a word, and no reset is to wait."""
        with self._turn():
            if not self._attachment.started and not self._closed:
                try:
                    self._attachment.start()
                except RuntimeError as error:  # the next request tries again
                    log.warning("not attached: %s", error)
                else:
                    self._first_by = boot_micros() + _FIRST_LEASE

    def _waits_for_first(self) -> bool:
        """Whether a child that may not ask may still wait: its first requests are not refused for being the first."""
        return boot_micros() < self._first_by and not self._attachment.joined.is_set()

    def _waited_for_first(self) -> bool:
        """Whether it has waited, and not in vain."""
        return self._waits_for_first() and self._attachment.joined.wait((self._first_by - boot_micros()) / 1e6)

    def _borrow(self, verdict: Verdict, again: Callable[[], Verdict]) -> Verdict:
        """What memory says once it was lent a share of the key's limit; ASK where a node has to decide after all."""
        if self._stale and boot_micros() >= self._holder.deadline:
            return self._count_alone(verdict, again)  # nobody was to be reached for as long as a lease
        try:
            return self._borrower.decide(verdict, again)
        except NodeUnavailable:
            if self._stale:
                return self._count_alone(verdict, again)
            if self._asks or not self._may_answer():
                return verdict
            raise

    def _count_alone(self, verdict: Verdict, again: Callable[[], Verdict]) -> Verdict:
        """Go on without a lender, for whoever has chosen availability: this process is lent to by itself."""
        for _ in range(_TRIES):
            seen, limit = verdict.view, verdict.profile
            if verdict.code != ASK or seen is None:
                break
            with self._alone:
                wish, now = Wish(key_id=seen.key_id, waiting=1), self._latest()
                lent = self._counters.lend(
                    seen.number, wish, interval=limit.interval, window=limit.window, holders=1, loan="", now=now
                )
                self._shares.put(seen.number, lent, wish=wish, asked=now)
                verdict = again()
        return verdict

    def _may_answer(self) -> bool:
        """Whether memory may answer still: by the lease, or beyond it where that was chosen."""
        boot, deadline = boot_micros(), self._holder.deadline
        return boot < deadline or bool(self._stale and deadline and boot < deadline + self._stale)

    def _again(
        self, presented: str, fingerprint: bytes, wanted: tuple[str, ...], ip: str | None, user_agent: str
    ) -> Verdict:
        """Decide anew, as `verify` does; some time has gone by (F3), and perhaps a fork (F10)."""
        if not self._here[0]:
            self._begin_anew()
        now = boot_micros() + self._holder.ahead
        if not self._may_answer():
            return _ASK_A_NODE
        entry = self._held(fingerprint)
        verdict = MISS if entry is None else self._decide(entry, wanted, ip, user_agent, now)
        return verdict if verdict is not MISS else self._look_up(presented, fingerprint, wanted, ip, user_agent, now)

    def _look_up(
        self, presented: str, fingerprint: bytes, wanted: tuple[str, ...], ip: str | None, user_agent: str, now: int
    ) -> Verdict:
        """What memory says of a secret that it does not hold, or a node does (F4)."""
        memory = self._memory
        if not is_presentable(presented):
            return memory.malformed()
        if memory.knows(fingerprint, now=now):
            verdict = memory.verify_fingerprint(fingerprint, permissions=wanted, ip=ip, user_agent=user_agent, now=now)
            if verdict is not MISS:
                return verdict
        find = filler(self._nodes, memory, label=label_of(presented))
        try:
            return memory.verify_cold(fingerprint, find, permissions=wanted, ip=ip, user_agent=user_agent, now=now)
        except TooManyGuesses as guesses:
            return wait_verdict(guesses.wait)
        except Unleased:
            return _ASK_A_NODE
        except PastLost:
            raise LeaseLapsed(_PAST_LOST) from None

    def _ask(
        self, presented: str, fingerprint: bytes, wanted: tuple[str, ...], ip: str | None, user_agent: str
    ) -> Verdict:
        """Have a node decide.  It is shown the fingerprint, not the secret."""
        if not is_presentable(presented):
            return MALFORMED_VERDICT
        memory, now = self._memory, boot_micros() + self._holder.ahead
        lost = memory.remembered_stop(fingerprint, now=now)
        if lost is not None:
            return lost
        asked: dict[str, Any] = {"key_sha256": fingerprint.hex(), "permissions": list(wanted)}
        if label := label_of(presented):
            asked["label"] = label
        if ip is not None:
            asked["ip"] = ip
        if user_agent:
            asked["context"] = {"user_agent": user_agent}
        # A node that knows nothing of this gives no answer; whoever was told that it is lost judges by itself (F9).
        known = {} if memory.estranged else {"X-Keyturn-Applied": "{} {} {}".format(memory.epoch, *memory.applied)}
        told = self._nodes.ask("/v1/verify", asked, told_verdict, headers=known)
        try:
            return memory.believed(fingerprint, told, now=now)
        except PastLost:
            raise LeaseLapsed(_PAST_LOST) from None


def _let_go(attachment: Attachment, nodes: Nodes) -> None:
    attachment.let_go()
    nodes.close()


def _ahead(holder: Holder) -> int:
    """The latest that it can be just now."""
    return boot_micros() + holder.ahead


def _latest(holder: Holder, memory: Memory) -> int:
    """What requests are decided as of just now."""
    return max(_ahead(holder), memory.floor)
