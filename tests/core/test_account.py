"""Accounts and users: the names that people sign in with."""

import pytest

from keyturn.core.account import parse_username

NAMES = {
    "as it was typed": ("ada.lovelace", "ada.lovelace"),
    "whatever the case": ("  Ada_Lovelace-1 ", "ada_lovelace-1"),
    "from three characters": ("ada", "ada"),
    "to thirty-two": ("a" * 32, "a" * 32),
}


@pytest.mark.parametrize("story", NAMES)
def test_a_user_name_has_one_form(story: str) -> None:
    text, name = NAMES[story]
    assert parse_username(text) == name


@pytest.mark.parametrize("text", ["ad", "a" * 33, ".ada", "ada lovelace", "ada@example.com", "áda", "ada\u202e", ""])
def test_whatever_could_be_an_address_or_mislead_is_no_user_name(text: str) -> None:
    with pytest.raises(ValueError, match="3 to 32"):
        parse_username(text)
