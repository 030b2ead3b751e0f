"""What is counted of failures, by digests of whom and where from (K8, pitfall 15)."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from keyturn.core.instant import Instant
from keyturn.core.throttle import Counted, Counter
from keyturn.store.begun import Begun, locked
from keyturn.store.tables import counters

Subjects = Mapping[Counted, bytes]


class Counters(Begun):
    """`ports.transaction.Transaction`'s questions about counters."""

    def counters(self, subjects: Subjects, *, lock: bool = False) -> Mapping[Counted, Counter]:
        """The counter of each subject; `lock` holds them all, also those that nothing was counted in yet."""
        # In one order everywhere, so that no two transactions wait for each other.
        named = sorted((counted.value, subject) for counted, subject in subjects.items())
        if lock and named:
            rows = [{"counted": one, "subject": subject, "failures": 0} for one, subject in named]
            self._connection.execute(self._insert().on_conflict_do_nothing(), rows)
        this = tuple_(counters.c.counted, counters.c.subject).in_(named)
        query = select(counters).where(this).order_by(counters.c.counted, counters.c.subject)
        found = self._connection.execute(locked(query) if lock else query).all()
        known = {Counted(row.counted): row for row in found}
        return {
            one: Counter(counted=one, failures=known[one].failures, last_failed_at=known[one].last_failed_at)
            if one in known
            else Counter(counted=one)
            for one in subjects
        }

    def save_counters(self, subjects: Subjects, after: Mapping[Counted, Counter]) -> None:
        """Write counters back; those in which nothing is counted are dropped."""
        for one, counter in sorted(after.items(), key=lambda item: item[0].value):
            this = {"counted": one.value, "subject": subjects[one]}
            if counter.failures == 0:
                named = (counters.c[name] == value for name, value in this.items())
                self._connection.execute(delete(counters).where(*named))
                continue
            counts = {"failures": counter.failures, "last_failed_at": counter.last_failed_at}
            upsert = self._insert().values(this | counts)
            self._connection.execute(upsert.on_conflict_do_update(index_elements=list(this), set_=counts))

    def forget_counters(self, *, before: Instant) -> int:
        """Drop those in which nothing was counted since that instant."""
        old = or_(counters.c.last_failed_at < before, counters.c.failures == 0)
        return self._connection.execute(delete(counters).where(old)).rowcount

    def _insert(self) -> Any:  # noqa: ANN401  # two dialects' statements, alike in what is used of them
        dialect = self._connection.dialect.name
        return sqlite.insert(counters) if dialect == "sqlite" else postgresql.insert(counters)
