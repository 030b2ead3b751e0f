import re
import tomllib
from dataclasses import fields
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from keyturn.core.refusal import Refusal
from keyturn.outside import words

ROOT = Path(__file__).parents[2]
PARTS = sorted({file.name.split(".")[0] for file in files("keyturn.words").iterdir() if file.name.endswith(".toml")})
HOLES = re.compile(r"\{(\w+)\}")


def texts(part: str, language: str) -> dict[str, str]:
    return words._flat(tomllib.loads((files("keyturn.words") / f"{part}.{language}.toml").read_text("utf-8")))


@pytest.mark.parametrize("part", PARTS)
def test_every_text_stands_in_every_language_with_the_same_values(part: str) -> None:
    english = texts(part, "en")
    for language in words.LANGUAGES:
        other = texts(part, language)
        assert other.keys() == english.keys(), language
        for key, text in english.items():
            assert set(HOLES.findall(other[key])) == set(HOLES.findall(text)), (language, key)
            assert other[key].strip() == other[key] != "", (language, key)


def kinds(of: type[Refusal]) -> list[type[Refusal]]:
    found = [one for child in of.__subclasses__() if hasattr(child, "kind") for one in (child, *kinds(child))]
    return list({one.kind: one for one in found if hasattr(one, "__slots__")}.values())


@pytest.mark.parametrize("kind", kinds(Refusal), ids=lambda kind: kind.kind)
def test_every_refusal_speaks_the_reader_s_language(kind: type[Refusal]) -> None:
    for language in words.LANGUAGES:
        text = words.load(language).texts[f"refusal.{kind.kind}"]
        assert set(HOLES.findall(text)) <= {one.name for one in fields(kind)}, (language, kind.kind)


def test_every_text_that_a_template_asks_for_is_there() -> None:
    english = words.load("en")
    folder = ROOT / "src" / "keyturn" / "web" / "templates"
    asked = {key for page in folder.glob("*.html") for key in re.findall(r"\bt\('([\w.]+)'[,)]", page.read_text())}
    assert len(asked) > 10
    assert not [key for key in asked if key not in english.texts and f"{key}.other" not in english.texts]


def test_a_language_is_chosen_by_what_the_reader_wants() -> None:
    stories = {
        "as wanted": (["de"], "de"),
        "of a region": (["de-CH", "en"], "de"),
        "the first that we have": (["fr", "de"], "de"),
        "none that we have": (["fr"], "en"),
        "nothing wanted": ([""], "en"),
        "garbage": (["\N{SNOWMAN}" * 50, "x" * 500], "en"),
    }
    for story, (wanted, language) in stories.items():
        assert words.negotiate(wanted) == language, story


def test_a_count_takes_its_plural() -> None:
    english = words.Words("en", {"n.one": "{count} key", "n.other": "{count} keys"}, words.load("en").locale)
    assert (english("n", count=1), english("n", count=2000)) == ("1 key", "2,000 keys")


def test_a_span_is_told_in_the_unit_a_person_would_use() -> None:
    english = words.load("en")
    stories = {
        "90 days": timedelta(days=90),
        "36 hours": timedelta(hours=36),
        "30 minutes": timedelta(minutes=30),
        "45 seconds": timedelta(seconds=45, microseconds=3),
        "48 hours": timedelta(days=2) - timedelta(seconds=3),
    }
    assert {told: english.span(span) for told, span in stories.items()} == {told: told for told in stories}
