"""A transaction that has begun: its connection and what it read of the authority, for every noun's questions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Select, Table

from keyturn.core.instant import Instant
from keyturn.core.policy import Policy
from keyturn.ports.page import Page

T = TypeVar("T")
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a transaction read first, once."""

    now: Instant
    """Authority time."""
    rev: int
    epoch: int
    deployment_account_id: str
    presets: Mapping[str, Policy]
    mark: str = ""
    """By which PostgreSQL knows a change afterwards."""


class Begun:
    """One connection inside one database transaction."""

    def __init__(self, connection: Connection, seen: Seen) -> None:
        self._connection = connection
        self._now = seen.now
        self._rev = seen.rev
        self._epoch = seen.epoch
        self._deployment_account_id = seen.deployment_account_id
        self._presets = seen.presets
        self.mark = seen.mark

    @property
    def now(self) -> Instant:
        """Authority time, read once."""
        return self._now

    @property
    def deployment_account_id(self) -> str:
        """The first account: the operator's own."""
        return self._deployment_account_id

    @property
    def epoch(self) -> int:
        """How often the authority was restored or forced anew (F9)."""
        return self._epoch

    @property
    def rev(self) -> int:
        """The newest revision when this transaction began to read."""
        return self._rev


def columns(value: object) -> dict[str, Any]:
    """The fields of a frozen value by name; `dataclasses.asdict` would copy them deeply, and slowly."""
    return {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]  # all have them


def parts(wanted: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as a statement takes."""
    return (wanted[at : at + _AT_ONCE] for at in range(0, len(wanted), _AT_ONCE))


def locked(query: Select[Any], *, skip_locked: bool = False) -> Select[Any]:
    """The same, held against everybody who would change what it finds; `skip_locked` leaves out what somebody holds.

    Whoever only refers to a row need not wait: PostgreSQL looks at a key's owner again at its second change in one
    transaction.
    """
    return query.with_for_update(key_share=True, skip_locked=skip_locked)


def within(
    query: Select[Any], table: Table, account_ids: Sequence[str] | None, page: Page, *, column: str = "account_id"
) -> Select[Any]:
    """Restrict to accounts (pitfall 18) and to one page, newest first."""
    if account_ids is not None:
        query = query.where(table.c[column].in_(account_ids))
    if page.before is not None:
        query = query.where(table.c.number < page.before)
    return query.order_by(table.c.number.desc()).limit(page.size)
