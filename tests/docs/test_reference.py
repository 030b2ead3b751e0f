"""The generated reference pages say what the code does."""

import re

import pytest

from keyturn.core.refusal import Refusal
from tests.docs import generate


@pytest.mark.parametrize("page", generate.PAGES)
def test_no_page_is_stale(page: str) -> None:
    path = generate.REFERENCE / page
    assert path.exists(), "run `make docs`"
    assert path.read_text() == generate.PAGES[page](), "stale; run `make docs`"


@pytest.mark.parametrize("refusal", generate.refusals(), ids=lambda each: each.kind)
def test_every_refusal_has_a_stable_code_a_status_and_a_heading(refusal: type[Refusal]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", refusal.kind)
    assert 400 <= refusal.status < 600
    assert refusal.title.endswith(".")
    assert f"\n## {refusal.kind}\n" in (generate.REFERENCE / "problems.md").read_text()


def test_no_two_refusals_share_a_code() -> None:
    kinds = [refusal.kind for refusal in generate.refusals()]
    assert len(kinds) == len(set(kinds))
