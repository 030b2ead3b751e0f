"""What happens where several things could: by a seed, or every way in turn."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Protocol


class Choices(Protocol):
    """Asked for each thing that the world leaves open."""

    def pick(self, ways: int) -> int:
        """One of so many."""
        ...


class Seeded:
    """The same history for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def pick(self, ways: int) -> int:
        return self._random.randrange(ways)


class Enumerated:
    """Once it is open, the first choices as told; before and after, the first way always."""

    def __init__(self, told: Sequence[int], *, depth: int) -> None:
        self.is_open = False
        self.taken: list[int] = []
        self.ways: list[int] = []
        self._told = told
        self._depth = depth

    def pick(self, ways: int) -> int:
        at = len(self.taken)
        if not self.is_open or at >= self._depth:
            return 0
        self.ways.append(ways)
        self.taken.append(self._told[at] if at < len(self._told) else 0)
        return self.taken[-1]

    def next(self) -> list[int] | None:
        """What to tell the one after this; None after the last one."""
        told = list(self.taken)
        while told and told[-1] + 1 >= self.ways[len(told) - 1]:
            told.pop()
        if not told:
            return None
        told[-1] += 1
        return told


def every_way(depth: int) -> Iterator[Enumerated]:
    """Each way through the first `depth` choices, once."""
    told: list[int] | None = []
    while told is not None:
        choices = Enumerated(told, depth=depth)
        yield choices
        told = choices.next()
