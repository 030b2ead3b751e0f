"""Which passwords are taken (NIST SP 800-63B-4): long enough, and not one that is guessed first.

No rule says which kinds of character there must be, and nothing forces a change.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from keyturn.core.refusal import PasswordUnfit

Fitted = str | PasswordUnfit
"""The stored form of a password that meets its rules, or why it does not."""
LEAST: Final = 15
LEAST_WITH_SECOND_FACTOR: Final = 12
MOST: Final = 1024
"""Characters; so that nobody makes us reckon for long."""
_LEAST_OF_ITS_OWN: Final = 8
"""How much there must be beside a word that everybody knows of this person."""
_LEAST_WORD: Final = 4
_LEAST_STEPS: Final = 8
_RUN: Final = 3
_ROWS: Final = ("qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm", "azertyuiop", "1234567890")
_NO_LETTER: Final = re.compile(r"[^a-z]+")
_LETTER: Final = re.compile(r"[a-z]+")
_BESIDE: Final = re.compile(r"^[^a-z]+|[^a-z]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a password of this person must meet."""

    least: int = LEAST
    words: tuple[str, ...] = ()
    """What everybody knows: user name, address, account, brand."""


def normalised(text: str) -> str:
    """The one form in which a password is hashed, however a keyboard wrote it."""
    return unicodedata.normalize("NFKC", text)


def check(text: str, rules: Rules, common: Container[str]) -> PasswordUnfit | None:
    """Why that password is not taken, or None.  `common`: what is guessed first, in lower case."""
    plain = normalised(text)
    if len(plain) < rules.least:
        return PasswordUnfit(reason="too_short", least=rules.least, most=MOST)
    if len(text) > MOST or len(plain) > MOST:
        return PasswordUnfit(reason="too_long", least=rules.least, most=MOST)
    folded = plain.casefold()
    reason = ""
    if _is_known(folded, rules.words):
        reason = "known_words"
    elif _steps(folded) < _LEAST_STEPS:
        reason = "pattern"
    elif any(core in common and _steps(rest) < _LEAST_STEPS for core, rest in _cores(folded)):
        reason = "common"
    return PasswordUnfit(reason=reason, least=rules.least, most=MOST) if reason else None


def words_of(*texts: str) -> tuple[str, ...]:
    """The words in names and addresses that a password must not live on."""
    found = (part for text in texts for part in (text.casefold(), *re.split(r"[\W_]+", text.casefold())))
    return tuple(sorted({one for one in found if len(one) >= _LEAST_WORD}, key=len, reverse=True))


def _is_known(folded: str, words: Iterable[str]) -> bool:
    rest = folded
    for word in words:
        rest = rest.replace(word, "")
    return rest != folded and len(rest) < _LEAST_OF_ITS_OWN


def _steps(folded: str) -> int:
    """How many decisions are in it: runs of neighbours on a keyboard or in a row count once, repeats not at all."""
    period = _period(folded)
    text = folded[:period]
    steps, at = 0, 0
    while at < len(text):
        length = _run(text, at)
        steps += 1
        at += length
    return steps


def _run(text: str, at: int) -> int:
    """How long the run is that begins there; 1 for none."""
    longest = 1
    for step in (-1, 0, 1):
        end = at + 1
        while end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
            end += 1
        longest = max(longest, end - at)
    for row in (*_ROWS, *(one[::-1] for one in _ROWS)):
        end = at + 1
        while end < len(text) and text[at : end + 1] in row:
            end += 1
        longest = max(longest, end - at)
    return longest if longest >= _RUN else 1


def _period(text: str) -> int:
    """The length of the shortest piece of which it is a repetition, whole or broken off."""
    border = [0] * len(text)
    for at in range(1, len(text)):
        known = border[at - 1]
        while known and text[at] != text[known]:
            known = border[known - 1]
        border[at] = known + (text[at] == text[known])
    return len(text) - (border[-1] if text else 0)


def _cores(folded: str) -> Iterator[tuple[str, str]]:
    """What may be a word that everybody tries, and the ornament around it, between it or after it."""
    bare = _BESIDE.sub("", folded)
    for core in (folded, folded[: _period(folded)], bare, bare[: _period(bare)]):
        if core:
            yield core, folded.replace(core, "")
    yield _NO_LETTER.sub("", folded), _LETTER.sub("", folded)
