"""One figure and its floor, and the table they are shown in."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

_COLUMNS: Final = ("figure", "keyturn", "floor", "ratio", "reach", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, what it is held against, and what it is to reach."""

    name: str
    ours: float
    floor: float
    unit: str
    """`us`, `ms`, `s`, `req/s` or `bytes`; of both."""
    floor_name: str
    reach: float | None = None
    """The ratio to reach, or the value itself where `absolute`; None where none was set."""
    at_least: bool = False
    """More is better: the ratio is to be at least `reach`."""
    absolute: bool = False
    """`reach` speaks of the value, not of its ratio to the floor."""

    @property
    def ratio(self) -> float:
        """Ours to the floor."""
        return self.ours / self.floor if self.floor else float("nan")

    @property
    def reached(self) -> bool | None:
        """Whether it is as good as it is to be; None where nothing was set."""
        if self.reach is None:
            return None
        value = self.ours if self.absolute else self.ratio
        return value >= self.reach if self.at_least else value <= self.reach

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"ratio": round(self.ratio, 3), "reached": self.reached}


def interleaved(*tasks: Callable[[], float], rounds: int) -> tuple[float, ...]:
    """The median of each task's own measurements, the tasks taking turns."""
    measured: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds):
        for results, task in zip(measured, tasks, strict=True):
            results.append(task())
    return tuple(statistics.median(results) for results in measured)


def table(figures: Iterable[Figure]) -> str:
    """The figures for a person."""
    rows: list[Sequence[str]] = [_COLUMNS]
    rows += [
        (
            one.name,
            f"{_number(one.ours)} {one.unit}",
            f"{_number(one.floor)} {one.unit} ({one.floor_name})",
            f"{one.ratio:.2f} x",
            _reach(one),
            {True: "reached", False: "MISSED", None: ""}[one.reached],
        )
        for one in figures
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _reach(figure: Figure) -> str:
    if figure.reach is None:
        return ""
    sign = ">=" if figure.at_least else "<="
    return f"{sign} {figure.reach:g} {figure.unit if figure.absolute else 'x'}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
