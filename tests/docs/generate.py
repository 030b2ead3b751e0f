"""Writes the reference pages that follow from the code: `python -m tests.docs.generate` (`make docs`).

`tests/docs/test_reference.py` fails while a page is stale.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, get_type_hints

import click

from keyturn.cli.root import root
from keyturn.core import duration, stage
from keyturn.core.refusal import Refusal
from keyturn.settings import FILE_NAME, PREFIX, Settings

ROOT: Final = Path(__file__).parents[2]
REFERENCE: Final = ROOT / "docs" / "reference"
_NOTE: Final = "<!-- Written by `make docs` from the code; do not edit. -->\n"


def refusals() -> list[type[Refusal]]:
    """Every refusal there is, by its code."""
    waiting, found = [Refusal], []
    while waiting:
        children = [each for each in waiting.pop().__subclasses__() if _is_reachable(each)]
        found += [each for each in children if "kind" in vars(each)]
        waiting += children
    return sorted(found, key=lambda each: each.kind)


def _is_reachable(kind: type) -> bool:
    # A slotted dataclass replaces the class it was made from, which lingers among the subclasses.
    return getattr(sys.modules[kind.__module__], kind.__name__, None) is kind


def _sentences(of: object) -> list[str]:
    """A docstring, one sentence a line, for a class that wrote one itself."""
    text = inspect.cleandoc(vars(of).get("__doc__") or "")
    generated = dataclasses.is_dataclass(of) and text.startswith(f"{getattr(of, '__name__', '')}(")
    return [] if generated else text.replace(".  ", ".\n").splitlines()


def problems() -> str:
    """`problems.md`: every "no" the API may answer."""
    lines = [
        "# Problems",
        "",
        _NOTE,
        "Every refusal is `application/problem+json` (RFC 9457).",
        "`code` is stable and is the last part of `type`; decide by it, not by `title` or `detail`.",
        "",
    ]
    for kind in refusals():
        lines += [f"## {kind.kind}", "", f"**{kind.status}** {kind.title}", ""]
        if said := _sentences(kind):
            lines += [*said, ""]
        own = [name for name in get_type_hints(kind) if name not in ("kind", "status", "title")]
        if own:
            lines += ["Members: " + ", ".join(f"`{name}`" for name in own) + ".", ""]
    return "\n".join(lines)


def stages() -> str:
    """`stages.md`: the order of a reset (R10)."""
    lines = [
        "# Stages of a reset",
        "",
        _NOTE,
        "Only these moves are possible; anything else is refused and changes nothing.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> asked",
    ]
    lines += [f"    {before.value} --> {after.value}: {event.value}" for (before, event), after in stage.MOVES.items()]
    lines += ["```", "", "| stage | event | next stage |", "| --- | --- | --- |"]
    lines += [
        f"| `{before.value}` | `{event.value}` | `{after.value}` |" for (before, event), after in stage.MOVES.items()
    ]
    return "\n".join([*lines, ""])


def settings() -> str:
    """`settings.md`: what an operator can set."""
    lines = [
        "# Settings",
        "",
        _NOTE,
        f"Flags over environment over `{FILE_NAME}`.",
        "",
        f"| `{FILE_NAME}` | environment | default | |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{one.name}` | `{PREFIX}{one.name.upper()}` | {_shown(one.default)} | {one.metadata['doc']} |"
        for one in dataclasses.fields(Settings)
    ]
    return "\n".join([*lines, ""])


def _shown(default: object) -> str:
    text = duration.to_text(default) if isinstance(default, timedelta) else default
    return "" if text in (None, "", ()) else f"`{text}`"


def command_line() -> str:
    """`cli.md`: every command, as it explains itself."""
    lines = ["# Command line", "", _NOTE]
    for path, context in _commands(click.Context(root, info_name="keyturn", terminal_width=100, max_content_width=100)):
        lines += [f"## {path}", "", "```text", context.get_help().rstrip(), "```", ""]
    return "\n".join(lines)


def _commands(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield context.command_path, context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _commands(click.Context(command, parent=context, info_name=name))


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "problems.md": problems,
    "settings.md": settings,
    "stages.md": stages,
    "cli.md": command_line,
}


if __name__ == "__main__":
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for page, write in PAGES.items():
        (REFERENCE / page).write_text(write())
        print(f"docs/reference/{page}")
