"""Other people's words, shown so that they mislead nobody: no direction marks, no control characters (pitfall 27)."""

import unicodedata
from typing import Final

HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what moves a cursor, turns the reading direction, or cannot be seen."""


def visible(text: str, *, longest: int = 200) -> str:
    """The text on one line, with every hidden character written out as its code point."""
    shown = "".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in HIDDEN else one for one in text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
