"""What somebody calls something: short, printable, and no secret typed into the wrong field."""

from typing import Final

from keyturn.edge.url import holds_secret
from keyturn.outside.words import Words

LONGEST: Final = 200


def wrong_name(name: str, words: Words) -> str:
    """What is wrong with it, in the reader's language; empty for nothing."""
    if not name or len(name) > LONGEST or not name.isprintable():
        return words("wrong.name")
    return words("wrong.name_is_secret") if holds_secret(name) else ""
