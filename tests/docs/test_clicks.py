"""No test looks at a page while the next one may be on its way: a click does not wait for it (tests/browser.py)."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = [path for path in sorted((TESTS / "web").glob("*.py")) if "playwright" in path.read_text()]
GOES = re.compile(r"\.(?:click\(\)|press\('Enter'\))$")
WAITS = re.compile(r"(?<![\w.])(?:expect|follow)\(|\.(?:wait_for\w*|expect_\w+|click|fill|check|press|type)\(")


def steps(body: list[ast.stmt], *, awaited: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether a `with` around it waits, of each statement in the order of the source."""
    for one in body:
        if isinstance(one, ast.FunctionDef):
            continue  # a function of its own
        said = ast.unparse(one)
        inner = [getattr(one, name, []) for name in ("body", "orelse", "finalbody")]
        if not any(inner):
            yield one.lineno, said, awaited
            continue
        header = said.partition(ast.unparse(inner[0][0]))[0]
        yield one.lineno, header, awaited
        for block in inner:
            yield from steps(block, awaited=awaited or ".expect_" in header)


def races(source: str) -> list[int]:
    """The lines of clicks whose next statement does not wait for what they bring."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            listed = [*steps(function.body), (0, "", False)]
            for (line, said, awaited), (_, then, _) in itertools.pairwise(listed):
                if GOES.search(said) and not awaited and not WAITS.search(then):
                    found.append(line)
    return sorted(found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_stands_behind_a_click_waits_for_the_page_it_leads_to(path: Path) -> None:
    assert not races(path.read_text())


@pytest.mark.parametrize(
    ("then", "found"),
    [
        ("assert page.locator('p').count() == 0", [2]),
        ("page.goto('/')", [2]),
        ("look_well(page)", [2]),
        ("", [2]),
        ("expect(page.locator('p')).to_be_visible()", []),
        ("page.wait_for_url('**/keys')", []),
        ("page.get_by_label('Name').fill('x')", []),
    ],
)
def test_the_rule_itself_tells_them_apart(then: str, found: list[int]) -> None:
    for way in ("click()", "press('Enter')"):
        assert races(f"def test():\n    page.locator('a').{way}\n    {then}") == found
        assert races(f"def test():\n  with x:\n    page.locator('a').{way}\n  {then}") == [one + 1 for one in found]
        assert not races(f"def test():\n  with page.expect_navigation():\n    page.locator('a').{way}\n  {then}")
