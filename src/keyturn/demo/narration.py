"""How the demo speaks: short aligned lines, colour on a terminal only."""

from collections.abc import Callable
from typing import Final

_DIM: Final = "2"
_BOLD: Final = "1"
_GREEN: Final = "32"
_RED: Final = "31"
_NAME_WIDTH: Final = 16
_TEXT_WIDTH: Final = 62


class Narration:
    """Writes lines; `colour` says whether to colour them."""

    def __init__(self, write: Callable[[str], None], *, colour: bool) -> None:
        self._write = write
        self._colour = colour

    def title(self, text: str) -> None:
        """A heading, with a line of space before it."""
        self._write("")
        self._write(self._styled(text, _BOLD))

    def step(self, name: str, text: str, *, took: str = "", good: bool | None = None) -> None:
        """One fact: what, what came of it, how long it took."""
        mark = {True: self._styled("+", _GREEN), False: self._styled("!", _RED), None: " "}[good]
        padding = " " * max(1, _TEXT_WIDTH - len(text))
        line = f"{mark} {self._styled(name.ljust(_NAME_WIDTH), _DIM)} {text}"
        self._write(line + (padding + self._styled(took.rjust(9), _DIM) if took else ""))

    def line(self, text: str = "") -> None:
        """A line as it is."""
        self._write(text)

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and text else text


def milliseconds(seconds: float) -> str:
    """A time as a person reads it."""
    return f"{seconds * 1000:.1f} ms"
