"""What was promised and what was answered, and whether the one agrees with the other (F0, F8)."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """One verification, from the reading of the clock to the answer, in true time."""

    by: str
    number: int
    began: int
    ended: int
    accepted: bool
    from_memory: bool
    is_lost: bool = False
    """Whether the key had stopped by what this one was told, and the authority has lost that (F9)."""


@dataclass
class History:
    """Of one run.  Every question is asked of true time, which nobody in the world can read."""

    stopped: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By key when its stop had returned confirmed, and the stop's revision."""
    dates: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    """By key from when to when its secret is accepted at all."""
    answers: list[Answer] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """What happened, for whoever has to understand it."""
    confirmed: int = 0
    waited_out: int = 0
    refused_as_lost: int = 0
    violations: list[str] = field(default_factory=list)

    def confirm(self, numbers: list[int], *, rev: int, at: int) -> None:
        """A stop of these keys has returned confirmed."""
        self.confirmed += 1
        for number in numbers:
            self.stopped.setdefault(number, (at, rev))

    def forget_after(self, rev: int) -> None:
        """What came after it is lost, and nobody can have been promised it (F13)."""
        self.stopped = {number: stop for number, stop in self.stopped.items() if stop[1] <= rev}

    def add(self, answer: Answer) -> None:
        """Somebody was answered."""
        self.answers.append(answer)
        if not answer.accepted:
            self.refused_as_lost += answer.is_lost
            return
        if answer.is_lost:
            self.violations.append(f"F9: key {answer.number} had stopped in a past that is lost; {answer}")
        stopped, rev = self.stopped.get(answer.number, (None, 0))
        if stopped is not None and answer.began > stopped:
            self.violations.append(f"F0: key {answer.number} stopped at rev {rev}, confirmed at {stopped}; {answer}")
        starts, stops = self.dates.get(answer.number, (0, None))
        if answer.ended < starts:
            self.violations.append(f"F8: key {answer.number} starts at {starts}; {answer}")
        if stops is not None and answer.began >= stops:
            self.violations.append(f"F8: key {answer.number} stops at {stops}; {answer}")

    def say(self, at: int, what: str) -> None:
        """Note for people."""
        self.said.append(f"{at:>12,} {what}")
