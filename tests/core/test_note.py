"""Signed notes, and the receipt of a stop as one (F5, R53)."""

from base64 import b64encode
from hashlib import sha256

import pytest

from keyturn.core.instant import EPOCH
from keyturn.core.note import NoteKey, key_from_text, read, signed
from keyturn.core.receipt import HEADING, Receipt, to_note_text

KEY = NoteKey(name="acc_1", public_key=b"\x07" * 32)
TEXT = "one\n\ntwo\n"


def _sign(message: bytes) -> bytes:
    """Stands in for Ed25519: what is tested here is the form."""
    return sha256(b"private" + message).digest() * 2


def _matches(signature: bytes, message: bytes) -> bool:
    return signature == _sign(message)


NOTE = signed(TEXT, KEY, _sign)
BODY, LINE = NOTE.rsplit("\n\n", 1)


def test_r53_a_note_is_read_by_whoever_has_its_key() -> None:
    """Also where others have signed it too, and an empty line stands in its text."""
    assert read(NOTE, KEY, _matches) == TEXT
    others = signed(TEXT, NoteKey(name="other", public_key=b"\x08" * 32), _sign).rsplit("\n\n", 1)[1]
    assert read(f"{BODY}\n\n{others}{LINE}", KEY, _matches) == TEXT


FORGED = {
    "R53 nothing": "",
    "R53 no signature": TEXT,
    "R53 another text": NOTE.replace("two", "three"),
    "R53 a line that is none": f"{BODY}\n\nby hand\n{LINE}",
    "R53 another name": NOTE.replace("acc_1", "acc_2"),
    "R53 no base64": f"{BODY}\n\n— acc_1 A\n",
    "R53 of another key": signed(TEXT, NoteKey(name="acc_1", public_key=b"\x09" * 32), _sign),
    "R53 signed by nobody": signed(TEXT, KEY, lambda _: bytes(64)),
}


@pytest.mark.parametrize("story", FORGED)
def test_r53_a_note_that_the_key_has_not_signed_is_none(story: str) -> None:
    with pytest.raises(ValueError, match="no note that acc_1 has signed"):
        read(FORGED[story], KEY, _matches)


def test_r53_a_key_of_notes_survives_its_text() -> None:
    assert key_from_text(f" {KEY.to_text()}\n") == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "acc_1",
        "acc_1+00000000+!",
        KEY.to_text().replace(KEY.id.hex(), "00000000"),
        KEY.to_text().replace("acc_1", "acc_2"),
        f"acc_1+{KEY.id.hex()}+{b64encode(b'2' + KEY.public_key).decode()}",
        f"acc_1+{KEY.id.hex()}+{b64encode(b'1' + KEY.public_key[1:]).decode()}",
    ],
)
def test_r53_another_text_is_no_key_of_notes(text: str) -> None:
    with pytest.raises(ValueError, match="not a key of notes"):
        key_from_text(text)


@pytest.mark.parametrize(("name", "size"), [("two words", 32), ("a+b", 32), ("", 32), ("acc_1", 31)])
def test_r53_a_key_of_notes_has_a_name_of_one_word_and_32_bytes(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        NoteKey(name=name, public_key=bytes(size))


def test_f5_a_receipt_is_a_line_for_each_of_its_fields() -> None:
    bare = to_note_text(Receipt(rev=3, epoch=1, confirmed=False))
    assert bare.splitlines()[:2] == [HEADING, "reset -"]
    assert {"confirmed no", "stopped_at -", "unleased -"} <= set(bare.splitlines())
    full = to_note_text(Receipt(rev=3, epoch=1, confirmed=True, stopped_at=EPOCH, waited_out=("a", "b")))
    assert {"confirmed yes", "stopped_at 1970-01-01T00:00:00Z", "waited_out a b"} <= set(full.splitlines())
