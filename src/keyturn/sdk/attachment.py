"""How a verifier is attached to a node: one stream, kept up by a thread.

Nothing here decides anything: `verify.holder` says what a message means for the lease.  Standard library only.
"""

import atexit
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from keyturn.core.lease import (
    AHEAD,
    FOR_GOOD,
    Acknowledgement,
    Denial,
    Grant,
    Push,
    Terms,
    length_fault,
    margin_fault,
)
from keyturn.core.share import HOLD, Rest
from keyturn.sdk.clock import boot_id, boot_micros, wall_micros
from keyturn.sdk.nodes import ASK_SECONDS, Nodes
from keyturn.sdk.process import mark
from keyturn.sdk.stream import Refused, Stream, Wake
from keyturn.verify.holder import Alarm, Holder
from keyturn.verify.message import give_backs, read, reports, write
from keyturn.verify.shares import Shares
from keyturn.verify.verifier import Verifier

_LONGEST_PAUSE: Final = 1.0
_LEAVE_SECONDS: Final = 2.0
_SOON: Final = 20_000
"""Microseconds until a renewal before its turn."""
log = logging.getLogger("keyturn.sdk")


class Attachment:
    """The stream to one node at a time, in a thread of its own from `start` on."""

    def __init__(self, nodes: Nodes, holder: Holder, verifier: Verifier, shares: Shares) -> None:
        self.node = ""
        """The node it is attached to; empty while there is none."""
        self.refused = ""
        """Why the last node has refused the credential."""
        self.joined = threading.Event()
        """Set once a lease is held for the first time."""
        self.here = mark()
        """Whether this is its own process; in a child nothing of it is."""
        self._nodes = nodes
        self._holder = holder
        self._verifier = verifier
        self._shares = shares
        self._stopping = False
        self._stops = SimpleQueue[None]()
        self._wake = Wake()
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether it has begun."""
        return self._thread is not None

    def start(self) -> None:
        """Begin; the process may end without waiting for it.  Raises RuntimeError where no thread can be begun."""
        thread = threading.Thread(target=self._attach, name="keyturn feed", daemon=True)
        thread.start()
        self._thread = thread
        _begun.add(self)

    def stop(self) -> None:
        """Drop the lease, report a last time, and end the stream."""
        self.let_go()
        if self._thread is not None and self.here[0]:
            self._thread.join(ASK_SECONDS)

    def let_go(self) -> None:
        """The same without waiting for it: it takes no lock, since this may be called wherever garbage is collected."""
        self._holder.deadline = 0
        self._stopping = True
        if self._thread is not None and self.here[0]:
            self._stops.put(None)
            self._wake()
        else:  # nobody waits; in a child not even for its parent's
            _begun.discard(self)
            self._wake.close()

    def _attach(self) -> None:
        """Be attached to one node after the other."""
        at, pause = 0, 0.0
        while not self._stops_within(pause):
            url = self._nodes.urls[at % len(self._nodes.urls)]
            began = boot_micros()
            try:
                stream = self._nodes.open(url)
                try:
                    self.node, self.refused = url, ""
                    self._follow(stream)
                finally:
                    self._holder.disconnected()
                    stream.close()
            except Refused as error:
                self.refused = error.code
                log.warning("%s refuses this verifier: %s", url, error.code)
            except (OSError, ValueError) as error:
                log.info("the stream to %s ended: %s", url, type(error).__name__)
            self.node = ""
            self._tell_alarms()
            at += 1
            # At once to the next one, which may be up; slower the longer none of them lets us stay.
            stayed = boot_micros() - began > self._holder.terms.length
            pause = 0.0 if stayed else min(_LONGEST_PAUSE, pause * 2 or 0.02)
        self._wake.close()
        _begun.discard(self)

    def _stops_within(self, seconds: float) -> bool:
        with suppress(Empty):
            self._stops.get(timeout=seconds)
        return self._stopping

    def _follow(self, stream: Stream) -> None:
        """Renew and follow the feed until either side ends it."""
        renew_at = heard_at = leased_at = boot_micros()
        give_back_at = heard_at + HOLD
        while True:
            now = boot_micros()
            if self._stopping:
                self._leave(stream)
                return
            if now - heard_at > self._holder.terms.length:
                raise TimeoutError("the node says nothing any more")
            if now < self._holder.deadline or len(self._nodes.urls) == 1:
                leased_at = now
            elif now - leased_at > self._holder.terms.length:
                raise TimeoutError("the node grants nothing, and another may")
            if now >= renew_at:
                stream.send(write(self._holder.renewal(now, wall=wall_micros(), machine=boot_id())))
                renew_at = now + self._holder.terms.renew_every
                self._nodes.ask_first(self.node)
                self._tell_alarms()
                self._report(stream)
            if now >= give_back_at:  # by its own clock: lenders know a loan for KEPT, renewals may be further apart
                self._give_back(stream, self._shares.overdue(now + self._holder.ahead))
                give_back_at = now + HOLD
            lines = stream.lines((min(renew_at, give_back_at) - now) / 1e6, self._wake)
            if lines is None:
                return
            for line in lines:
                heard_at = boot_micros()
                if not self._hear(line, stream):
                    renew_at = min(renew_at, heard_at + _SOON)  # a gap, or no lease: ask again
            renew_at = min(renew_at, heard_at + self._holder.terms.renew_every)  # by the terms that may just have come

    def _hear(self, line: bytes, stream: Stream) -> bool:
        """Take one message; False where another renewal is wanted before its turn."""
        try:
            message = read(line)
        except (ValueError, RecursionError):
            self._holder.drop(Alarm.FORGED)
            raise ValueError("a line that is no message") from None
        answer: Acknowledgement | None = None
        match message:
            case Grant():
                answer = self._holder.granted(message, boot_micros())
            case Push():
                answer = self._holder.pushed(message)
            case Denial():
                self._holder.denied(message)
                return message.reason == AHEAD  # that lasts until somebody raises the epoch
            case Terms() if not (length_fault(message) or margin_fault(message)):
                self._holder.terms = message
                return True
            case _:
                self._holder.drop(Alarm.FORGED)
                raise ValueError("a message that nodes do not send")
        if answer is None:
            return self._verifier.estranged  # as above
        stream.send(write(answer))
        if isinstance(message, Grant):
            self.joined.set()
        return True

    def _leave(self, stream: Stream) -> None:
        """Memory answers nothing any more, whatever will come: no reset need wait for it (F5)."""
        self._holder.deadline = 0  # here, where grants are taken: one may have come since `stop`
        self._report(stream)
        self._give_back(stream, self._shares.drain())
        stream.send(write(Acknowledgement(epoch=self._verifier.epoch, rev=FOR_GOOD)))
        stream.send(b"")  # the end, which the node answers: what is on the way when a connection is cut may be lost
        end = boot_micros() + int(_LEAVE_SECONDS * 1e6)
        while (left := end - boot_micros()) > 0 and stream.lines(left / 1e6, self._wake) is not None:
            pass

    def _report(self, stream: Stream) -> None:
        """Tell what was counted; what cannot be told is lost with the stream, and nothing waits for it."""
        for one in reports(self._verifier.drain_uses(), self._verifier.drain_callers()):
            stream.send(write(one))

    def _give_back(self, stream: Stream, rests: Sequence[Rest]) -> None:
        """Tell what is spent no more of shares; what cannot be told is made up for by time."""
        for one in give_backs(rests):
            stream.send(write(one))

    def _tell_alarms(self) -> None:
        for alarm in self._holder.told():
            log.error("the lease was dropped: %s", alarm.value)


def _leave() -> None:
    """A process that ends says so, and no reset need wait for it."""
    begun = list(_begun)
    for one in begun:
        one.let_go()
    for one in begun:
        one.stop()


_begun: Final = set[Attachment]()
"""Those whose thread has not ended yet."""
atexit.register(_leave)
