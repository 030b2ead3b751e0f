"""Refused for the state of the service."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyRequests(Refusal):
    kind: ClassVar[str] = "too_many_requests"
    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests; wait before the next one."
    retry_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Refusal):
    """The store answered, yet so many changes were waiting that this one was turned away; nothing was changed."""

    kind: ClassVar[str] = "busy"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Too many changes at once; nothing was changed, try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAway(Refusal):
    kind: ClassVar[str] = "store_unavailable"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The database cannot be reached or written; nothing was changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown(Refusal):
    """The database was lost in the middle of a commit, and cannot tell what became of it.

    Ask again under the same Idempotency-Key, which tells what became of it, or look at what it was to change.
    """

    kind: ClassVar[str] = "outcome_unknown"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The database was lost while this was written; it may have been carried out."


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLapsed(Refusal):
    """F3: this holder may not answer from memory any longer.

    Also F9, until the epoch is raised: the authority has lost a part of its past, and the key may have stopped in it.
    """

    kind: ClassVar[str] = "lease_lapsed"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "This verifier has not heard from its authority in time."
