"""Breadth first through every state that can be reached: so the first violation found has a shortest history."""

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


class World(Protocol[S]):
    """What is explored."""

    def start(self) -> S: ...

    def steps(self, state: S) -> Iterable[tuple[str, S]]: ...

    def alike(self, state: S) -> S:
        """One state for all those that differ in nothing that matters."""
        ...

    def broken(self, state: S) -> str:
        """What is wrong with the state; empty: nothing."""
        ...

    def signs(self) -> Mapping[str, Callable[[str, S], bool]]:
        """What must be met on the way, so that an exploration which gets nowhere is noticed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[S]):
    states: int
    steps: int
    depth: int
    unseen: frozenset[str]
    wrong: str = ""
    history: tuple[str, ...] = ()  # to the violation

    def told(self) -> str:
        """The history in a form to read."""
        lines = [f"{number:3}. {label}" for number, label in enumerate(self.history, 1)]
        return "\n".join([*lines, f"  => {self.wrong or 'nothing is wrong'}"])


def explore(world: World[S], *, most: int = 3_000_000) -> Outcome[S]:
    """Visit every state, or stop at the first that is broken."""
    with _no_collection():
        return _explored(world, most)


def _explored(world: World[S], most: int) -> Outcome[S]:
    start = world.alike(world.start())
    came_from: dict[S, S | None] = {start: None}
    signs = dict(world.signs())
    front, depth, steps = [start], 0, 0
    while front:
        coming: list[S] = []
        for state in front:
            for label, following in world.steps(state):
                steps += 1
                for name in [name for name, sign in signs.items() if sign(label, following)]:
                    del signs[name]
                if following in came_from:
                    continue
                if wrong := world.broken(following):
                    history = (*_labels(world, _path(came_from, state)), label)
                    return Outcome(
                        states=len(came_from), steps=steps, depth=depth + 1, unseen=frozenset(signs),
                        wrong=wrong, history=history,
                    )  # fmt: skip
                alike = world.alike(following)
                if alike not in came_from:
                    came_from[alike] = state
                    coming.append(alike)
        if len(came_from) > most:
            raise RuntimeError(f"more than {most} states: the bounds are too wide")
        front, depth = coming, depth + 1
    return Outcome(states=len(came_from), steps=steps, depth=depth - 1, unseen=frozenset(signs))


def stuck(world: World[S], goal: Callable[[S], bool]) -> tuple[int, int]:
    """How many states there are, and from how many of them no state of the goal can be reached."""
    start = world.alike(world.start())
    before: dict[S, list[S]] = {start: []}
    front = [start]
    for state in front:
        for _, following in world.steps(state):
            alike = world.alike(following)
            if alike not in before:
                before[alike] = []
                front.append(alike)
            before[alike].append(state)
    reached = {state for state in before if goal(state)}
    back = list(reached)
    for state in back:
        new = [each for each in before[state] if each not in reached]
        reached.update(new)
        back.extend(new)
    return len(before), len(before) - len(reached)


def _path(came_from: Mapping[S, S | None], last: S) -> list[S]:
    path = [last]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return path[::-1]


def _labels(world: World[S], path: list[S]) -> Iterator[str]:
    for before, after in pairwise(path):
        yield next(label for label, following in world.steps(before) if world.alike(following) == after)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of tuples and no cycle among them: the collector would look at them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
