"""What axe-core finds wrong on a page as it stands, by WCAG 2.2 level A and AA and by good practice.

axe runs in an isolated world beside the page's own scripts: the page's Content-Security-Policy stays in force and does
not stop it, and the page does not notice.  It needs JavaScript to be on.  A frame from another site is looked into
where it is given itself.
"""

import importlib.resources
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import CDPSession, Frame, Page

TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_AXE: Final = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
_RUN: Final = "axe.run(%s).then(found => JSON.stringify({violations: found.violations, undecided: found.incomplete}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """One line each: rule, element, what is wrong with it."""

    violations: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    """Where axe could not tell, such as text over a picture: a person has to look."""


def findings(page: Page | Frame, *, leave_out: tuple[str, ...] = ()) -> Findings:
    """What is wrong on the page, by every rule but those left out."""
    context = page.page.context if isinstance(page, Frame) else page.context
    session = context.new_cdp_session(page)
    try:
        found = [_run(session, frame, leave_out) for frame in _frames(session.send("Page.getFrameTree")["frameTree"])]
    finally:
        session.detach()
    return Findings(
        violations=tuple(line for one in found for line in _lines(one["violations"])),
        undecided=tuple(line for one in found for line in _lines(one["undecided"])),
    )


def _frames(tree: dict[str, Any]) -> Iterator[str]:
    yield tree["frame"]["id"]
    for child in tree.get("childFrames", ()):
        yield from _frames(child)


def _run(session: CDPSession, frame: str, leave_out: tuple[str, ...]) -> dict[str, Any]:
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})["executionContextId"]
    options = {
        "iframes": False,
        "resultTypes": ["violations", "incomplete"],
        "runOnly": {"type": "tag", "values": TAGS},
        "rules": {rule: {"enabled": False} for rule in leave_out},
    }
    answer: Any = None
    for script in (_AXE, _RUN % json.dumps(options)):
        answer = session.send(
            "Runtime.evaluate",
            {"expression": script, "contextId": world, "awaitPromise": True, "returnByValue": script != _AXE},
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    found: dict[str, Any] = json.loads(answer["result"]["value"])
    return found


def _lines(results: list[dict[str, Any]]) -> Iterator[str]:
    for rule in results:
        for node in rule["nodes"]:
            checks = [check for group in ("any", "all", "none") for check in node[group]]
            said = "; ".join(check["message"] for check in checks)
            yield f"{rule['id']} at {_selector(node['target'])}: {rule['help']} ({said}) {node['html'][:200]}"


def _selector(target: list[Any]) -> str:
    return " >> ".join(part if isinstance(part, str) else " ".join(part) for part in target)
