"""What the model knows of a fleet: values that hash, so that a state is visited once.

`()` stands for what is absent, because it sorts among tuples.  A change (a reset, that is) is a bit of its own;
`feed[rev - 1]` is the change at `rev`, so that a rev which is given twice, after a restored backup, names two changes.
"""

from typing import NamedTuple

from tests.fleet.model.clock import Timer

NOTHING_CACHED = -1  # as what a holder has seen; no bit is missing from it, so it is never behind

Absent = tuple[()]
Feed = tuple[int, ...]


class Row(NamedTuple):
    """A lease row.  `expires` is written only by the mutant that compares it with the database's clock."""

    counter: int
    acked: int
    epoch: int
    expires: int


Rows = tuple[Row | Absent, ...]  # one place for each instance


class Authority(NamedTuple):
    feed: Feed
    rows: Rows
    epoch: int
    mark: int  # the greatest rev of this epoch, kept outside the database and its backups
    made: int  # changes so far, lost ones included
    replayed: int  # how much of the feed a lagging replica shows
    copy: tuple[Feed, Rows] | Absent  # a backup, or a standby that lags
    restored: bool  # from the backup, and the epoch has not been raised yet
    quiet: Timer  # since the epoch was raised

    @property
    def rev(self) -> int:
        return len(self.feed)


class Grant(NamedTuple):
    """An answer in the network.  It hands out what its feed holds after `after`, the rev that the request named."""

    length: int
    after: int
    feed: Feed
    epoch: int


class Ask(NamedTuple):
    """One request for a lease, under one nonce, and what became of it.

    It stays until its holder asks anew in its place: till then it may arrive late, never or twice, and its answer too.
    """

    node: int  # that it is sent to, where there are nodes
    since: Timer  # L from t0, on the holder's clock
    applied: int
    acked: int
    epoch: int
    recorded: bool  # by the granter beside the authority, which is about to answer
    read: Feed  # which the granter has read already; only a mutant does
    grant: Grant | Absent


class Check(NamedTuple):
    """A verification under way."""

    needs: int  # the changes that were confirmed when it began
    since: int  # ticks since it read the clock, on the holder's clock
    stage: str
    found: int  # what a mutant has looked up already; at the end, what it answers from


class Holder(NamedTuple):
    """A process that answers from memory under a lease: a verifier, or the half of a node that does."""

    lease: Timer
    applied: int
    seen: int  # the changes that its answers reflect
    epoch: int
    joined: bool  # it has had a lease; told apart only for the mutant that fails open
    said: int  # a rev that an acknowledgement may name although it is not applied; only mutants let it
    asks: tuple[Ask | Absent, ...]
    fill: tuple[Feed] | Absent  # under way, with the snapshot that it was read from
    check: Check | Absent


class Record(NamedTuple):
    """What a node knows of a verifier that it has granted to."""

    until: Timer  # the latest end of its grants and 2E more, on the node's clock
    acked: int


class Job(NamedTuple):
    """A verifier's request that a node has in hand."""

    arrived: Timer  # L + 2E from then; no longer needed when the length is known
    length: int  # of the grant; 0 until it is known


class Look(NamedTuple):
    """What a node saw in its records when it looked, to acknowledge `rev`: until when it waits for each verifier."""

    rev: int
    waits: tuple[Timer, ...]


class Node(NamedTuple):
    holder: Holder
    acked: int  # for itself and its verifiers
    records: tuple[Record | Absent, ...]
    jobs: tuple[tuple[Job | Absent, ...], ...]  # for each verifier, for each of its requests
    look: Look | Absent


class Stalled(NamedTuple):
    """A process that stands still: its stop is committed, and it has not scanned the rows yet."""

    rev: int
    change: int
    epoch: int  # of its transaction


class Wait(NamedTuple):
    """A process that waits for one reset to be confirmed; another one may wait for the same reset, after a retry."""

    rev: int
    change: int
    epoch: int
    found: int  # the entry that the scan met at `rev`: the change itself, but for mutants
    left: Timer
    seen: tuple[int, ...]  # the counter of each row that it waits for; 0: it does not


class State(NamedTuple):
    authority: Authority
    stalled: Stalled | Absent
    waits: tuple[Wait | Absent, ...]
    nodes: tuple[Node, ...]
    verifiers: tuple[Holder, ...]
    confirmed: int  # the changes whose reset has returned as confirmed


Step = tuple[str, State]
