"""Rules of the house that no linter holds."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers"}
SOURCES = sorted(path for top in ("src", "tests", "bench") for path in (ROOT / top).rglob("*.py"))
REQUIREMENTS = sorted((ROOT / "requirements").iterdir())


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def wanted(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def test_a_file_is_named_by_its_concept() -> None:
    assert not [path for path in SOURCES if VAGUE & {path.stem, path.parent.name}]


def test_the_package_wants_what_the_pins_were_made_from() -> None:
    assert project()["project"]["dependencies"] == wanted("runtime.in")
    for extra in ("oidc", "passkeys", "postgres"):
        assert project()["project"]["optional-dependencies"][extra] == wanted(f"{extra}.in")


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_name_no_address_and_no_path(path: Path) -> None:
    assert not re.findall(r"://|--(?:extra-)?index|--find-links|(?:^|\s)/\w+", path.read_text())


@pytest.mark.parametrize("path", [path for path in REQUIREMENTS if path.suffix == ".txt"], ids=lambda path: path.name)
def test_every_pin_has_a_hash(path: Path) -> None:
    pins = re.split(r"\n(?=\S)", path.read_text().strip())
    assert pins
    assert not [pin for pin in pins if "==" not in pin.split()[0] or "--hash=sha256:" not in pin]


def test_the_server_s_pins_are_the_test_suite_s() -> None:
    pins = {
        name: set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
        for name in ("runtime.txt", "oidc.txt", "passkeys.txt", "postgres.txt", "test.txt")
    }
    test = pins.pop("test.txt")
    assert frozenset[str]().union(*pins.values()) <= test


SILENCED = re.compile(r"#\s*(noqa|type: ignore|pragma: no cover|pragma: no branch)(?P<rest>.*)$")
WITH_REASON = {
    "noqa": re.compile(r"^:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*\s*(?:-|#|;|:)\s*\S+"),
    "type: ignore": re.compile(r"^\[[a-z-]+(?:,\s*[a-z-]+)*\]\s*(?:-|#|;)\s*\S+"),
    "pragma: no cover": re.compile(r"^\s*(?:-|#|;|:)\s*\S+"),
    "pragma: no branch": re.compile(r"^\s*(?:-|#|;|:)\s*\S+"),
}


def test_whoever_silences_a_check_says_which_and_why() -> None:
    bare = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if (
                path != Path(__file__)
                and (found := SILENCED.search(line))
                and not WITH_REASON[found[1]].match(found["rest"])
            ):
                bare.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not bare, "\n".join(bare)


def test_every_lint_rule_left_out_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lint = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-tidy-imports")]
    rules = [line for line in lint.splitlines() if re.match(r'\s+"[A-Z]+\d*",?', line)]
    assert rules
    assert not [line for line in rules if "#" not in line]


def test_tests_of_the_core_mock_nothing() -> None:
    mocking = {"mock", "unittest.mock", "monkeypatch", "mocker"}
    for path in (ROOT / "tests" / "core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                names = {node.module or ""}
            if isinstance(node, ast.arg):
                names = {node.arg}
            assert not names & mocking, path


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_generated_is_committed() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return  # unpacked from an archive: there is nothing to look at
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not re.findall(r"__pycache__|\.pyc$|^\.venv/|^(?:demo|keyturn)-data/|\.db$", listed.stdout, re.MULTILINE)
