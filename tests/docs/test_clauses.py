"""A clause that no test names fails the build.

A test names a clause in its own name (`test_r14_of_a_thousand_one_wins`), in its docstring, as a key in a table of
stories (`"R14 ..."`), or in the id of a parameter.  Comments and the docstrings of modules do not count.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "spec"
DEFINED = re.compile(r"^- \*\*([RFL]\d+)\*\*", re.MULTILINE)
PITFALL = re.compile(r"^\| (\d+) \|.*\| (\w+) \|$", re.MULTILINE)


def clauses() -> list[str]:
    """Every clause, law and due pitfall of `spec/`."""
    found = [clause for page in ("reset.md", "fleet.md") for clause in DEFINED.findall((SPEC / page).read_text())]
    due = [f"pitfall {number}" for number, when in PITFALL.findall((SPEC / "pitfalls.md").read_text()) if when == "now"]
    return found + due


def named() -> set[str]:
    """Every clause that some test names."""
    texts = [
        text
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent != Path(__file__).parent
        for text in _words(path)
    ]
    return {clause for text in texts for clause in _clauses_in(text)}


def _words(path: Path) -> Iterator[str]:
    """What the tests of a file say of themselves: names, docstrings, keys of tables, ids."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name.lower().startswith("test"):
                yield node.name.replace("_", " ")
                yield ast.get_docstring(node) or ""
            case ast.FunctionDef() | ast.ClassDef():  # rules and invariants of a state machine
                if any("rule" in ast.unparse(each) or "invariant" in ast.unparse(each) for each in node.decorator_list):
                    yield node.name.replace("_", " ")
                    yield ast.get_docstring(node) or ""
            case ast.Dict():
                yield from (
                    key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                )
            case ast.keyword(arg="id" | "ids"):
                yield from (
                    each.value
                    for each in ast.walk(node.value)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )


def _clauses_in(text: str) -> Iterator[str]:
    for letter, number in re.findall(r"\b([RFL])(\d+)\b", text.upper()):
        yield f"{letter}{int(number)}"
    for number in re.findall(r"\bLAWS? (\d+)\b", text.upper()):
        yield f"L{number}"
    for number in re.findall(r"\bPITFALLS? (\d+)\b", text.upper()):
        yield f"pitfall {number}"


def test_the_spec_was_read() -> None:
    found = clauses()
    assert {"R1", "R33", "F1", "F13", "L7", "pitfall 26"} <= set(found)
    assert len(found) == len(set(found))


def test_a_name_a_docstring_or_a_story_names_its_clauses(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text('"""R1."""\ndef test_r14_one_wins():\n    "Law 3, pitfall 7."\nSTORIES = {"R6 both work": 1}  # R2')
    assert {clause for text in _words(path) for clause in _clauses_in(text)} == {"R14", "L3", "pitfall 7", "R6"}


@pytest.fixture(scope="module")
def names() -> set[str]:
    return named()


@pytest.mark.parametrize("clause", clauses())
def test_every_clause_is_named_by_a_test(clause: str, names: set[str]) -> None:
    assert clause in names, f"no test names {clause}; see spec/ and the docstring of this file"
