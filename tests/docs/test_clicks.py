"""No test looks at a page while the next one may be on its way: a click does not wait for it (tests/browser.py)."""

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PRESSES = re.compile(r"\.(?:click|dblclick|tap|press)\(")
FILES = [path for path in sorted(TESTS.rglob("*.py")) if PRESSES.search(path.read_text())]
WAITS = re.compile(r"(?<![\w.])(?:expect|follow)\(|\.(?:wait_for\w*|expect_\w+|click|tap|fill|check|press|type)\(")


def goes(one: ast.stmt) -> bool:
    """Whether it presses what may lead to another page, however that is pressed."""
    match one:
        case ast.Expr(ast.Call(ast.Attribute(attr="click" | "dblclick" | "tap"))):
            return True
        case ast.Expr(ast.Call(ast.Attribute(attr="press"), args)):
            return any(isinstance(arg, ast.Constant) and arg.value == "Enter" for arg in args)
    return False


def steps(body: list[ast.stmt], *, awaited: bool = False) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it goes on without a `with` that waits, of each statement in the order of the source."""
    for one in body:
        if isinstance(one, ast.FunctionDef):
            continue  # a function of its own
        said = ast.unparse(one)
        inner = [getattr(one, name, []) for name in ("body", "orelse", "finalbody")]
        inner += [part.body for name in ("handlers", "cases") for part in getattr(one, name, [])]
        if not any(inner):
            yield one.lineno, said, goes(one) and not awaited
            continue
        header = said.splitlines()[0]
        yield one.lineno, header, False
        for block in inner:
            yield from steps(block, awaited=awaited or ".expect_" in header)


def races(source: str) -> list[int]:
    """The lines of clicks whose next statement does not wait for what they bring."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            listed = [*steps(function.body), (0, "", False)]
            for (line, _, races_on), (_, then, _) in itertools.pairwise(listed):
                if races_on and not WAITS.search(then):
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
    for press in (
        "page.locator('a').click()",
        "page.get_by_role('button', name='f(x)').click(force=True)",
        "page.click('a')",
        "page.locator('a').dblclick()",
        "page.locator('a').tap()",
        "page.locator('a').press('Enter')",
        "page.press('a', 'Enter')",
    ):
        assert races(f"def test():\n    {press}\n    {then}") == found, press
        assert races(f"def test():\n  with x:\n    {press}\n  {then}") == [one + 1 for one in found], press
        assert not races(f"def test():\n  with page.expect_navigation():\n    {press}\n  {then}"), press


def test_what_waits_is_seen_in_the_head_of_a_block_alone() -> None:
    """The first statement in it may have lines of its own."""
    for head in ("with x:\n  if y:", "for x in y:\n  with z:", "try:\n  if x:", "match x:\n  case y:"):
        block = f"{head}\n    page.locator('a').click()\n    page.goto('/')\n    page.expect_navigation()"
        block += "\nfinally:\n  pass" if head.startswith("try") else ""
        assert races("def test():\n  " + block.replace("\n", "\n  ")) == [4], head
