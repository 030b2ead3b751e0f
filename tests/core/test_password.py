"""Which passwords are taken (NIST SP 800-63B-4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.core.password import LEAST, LEAST_WITH_SECOND_FACTOR, MOST, Rules, check, normalised, words_of

COMMON = frozenset({"password", "correcthorsebatterystaple", "dragon", "1qaz2wsx3edc4rfv", "iloveyou"})
RULES = Rules(words=words_of("trader.joe@example.com", "Acme Trading", "kt", "keyturn"))


def reason(text: str, rules: Rules = RULES) -> str:
    unfit = check(text, rules, COMMON)
    return unfit.reason if unfit else ""


def wide(text: str) -> str:
    """The same letters as an East Asian keyboard writes them."""
    return "".join(chr(ord(one) - ord("!") + 0xFF01) for one in text)


TAKEN = (
    "tide lamp orbit nine",
    "correct horse battery staples in a field",
    "Zwölf Boxkämpfer jagen Viktor",
    "どこまでも続く青い空と白い雲の下で",
    "vq9-Zk2!mmxT0w#e",
    "my password is a dragon",
    "dragon 7!Kp#9-Q2$w8",
    "acme sells tide lamps and orbits",
    "\N{GRINNING FACE} tide \N{DOG} lamp \N{OCTOPUS} orbit",
)
REFUSED = {
    "a".ljust(15, "a"): "pattern",
    "abcabcabcabcabcabc": "pattern",
    "abcdefghijklmnopqrs": "pattern",
    "98765432109876543210": "pattern",
    "qwertyuiopasdfghjkl": "pattern",
    "lkjhgfdsapoiuytrewq": "pattern",
    "qwertzuiop1234567890": "pattern",
    "passwordpassword": "common",
    "Password12345678": "common",
    "!!password!!!!!!": "common",
    "p a s s w o r d 1 2 3": "common",
    wide("PASSWORD12345678"): "common",
    "CorrectHorseBatteryStaple": "common",
    "1qaz2wsx3edc4rfv": "common",
    "iloveyouiloveyou": "common",
    "trader.joe@example.com": "known_words",
    "Trader2026Trading": "known_words",
    "keyturnkeyturnkeyturn": "known_words",
    "acmetrading-acmetrading": "known_words",
}


@pytest.mark.parametrize("text", TAKEN)
def test_a_long_password_that_is_not_guessed_first_is_taken_whatever_it_is_made_of(text: str) -> None:
    assert reason(text) == ""


@pytest.mark.parametrize("text", REFUSED)
def test_a_password_that_is_guessed_first_is_not_taken(text: str) -> None:
    assert reason(text) == REFUSED[text]


def test_length_counts_characters_and_depends_on_the_second_factor() -> None:
    text = "tide lamp orbit"
    assert (len(text), LEAST, LEAST_WITH_SECOND_FACTOR) == (15, 15, 12)
    assert reason(text) == ""
    assert reason(text[:-1]) == "too_short"
    second = Rules(least=LEAST_WITH_SECOND_FACTOR)
    assert reason(text[:12], second) == ""
    assert reason(text[:11], second) == "too_short"
    unfit = check("short", second, COMMON)
    assert unfit is not None
    assert (unfit.least, unfit.most) == (12, MOST)
    long = "tide lamp orbit nine " * 60
    assert reason(long[: MOST + 1]) == "too_long"
    assert reason("\ufdfa" * 100) == "too_long"  # each is eighteen characters once written out
    assert reason("tide lamp orbit nine" + "\ufdfa") == ""


def test_one_password_is_one_however_a_keyboard_writes_it() -> None:
    assert normalised("Ångström") == normalised("A\u030angstro\u0308m")
    assert normalised(wide("tide")) == "tide"


@given(st.text(max_size=MOST))
def test_any_text_at_all_has_an_answer(text: str) -> None:
    unfit = check(text, RULES, COMMON)
    assert unfit is None or unfit.reason in {"too_short", "too_long", "common", "pattern", "known_words"}
    assert (unfit is not None and unfit.reason == "too_short") == (len(normalised(text)) < LEAST)
