"""What axe-core finds wrong on a page as it stands, by WCAG 2.2 level A and AA and by good practice.

axe runs in an isolated world beside the page's own scripts: the page's Content-Security-Policy stays in force and does
not stop it, and the page does not notice.  It needs JavaScript to be on.  A frame from another site is looked into
where it is given itself.  A document is looked at once it is whole; where another one takes its place, or a frame comes
up, while axe is looking, it looks at all of them anew.
"""

import importlib.resources
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import CDPSession, Error, Frame, Page

TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_AXE: Final = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
_WHOLE: Final = """new Promise((whole, fail) => {
    const empty = document.URL === 'about:blank' && (frameElement?.src || document.URL) !== document.URL;
    if (document.readyState === 'complete' && !empty) whole();
    addEventListener('load', () => whole());
    setTimeout(fail, %d, new Error('the document does not come whole'));
})"""
"""A frame begins with an empty document, which counts as complete, in the place of the one that is to come."""
_RUN: Final = "axe.run(%s).then(found => JSON.stringify({violations: found.violations, undecided: found.incomplete}))"

_PATIENCE_MS: Final = 30_000
_LOOKS: Final = 5
"""So often may the page change while it is looked at."""


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
        found = next(filter(None, (_look(session, leave_out) for _ in range(_LOOKS))), None)
    finally:
        session.detach()
    assert found is not None, "the page does not come to rest"
    return Findings(
        violations=tuple(line for one in found for line in _lines(one["violations"])),
        undecided=tuple(line for one in found for line in _lines(one["undecided"])),
    )


def _look(session: CDPSession, leave_out: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """What is found in each frame; nothing where a document came up meanwhile.  A frame may go."""
    found = dict[str, dict[str, Any]]()
    failures = dict[str, Exception]()
    before = _documents(session)
    for frame in before:
        try:
            found[frame] = _run(session, frame, leave_out)
        except (Error, AssertionError) as failure:
            failures[frame] = failure
    after = _documents(session)
    if not after.items() <= before.items():
        return None
    for frame in after.keys() & failures.keys():
        raise failures[frame]
    return [found[frame] for frame in after]


def _documents(session: CDPSession) -> dict[str, str]:
    """Which document stands in each frame."""
    return dict(_frames(session.send("Page.getFrameTree")["frameTree"]))


def _frames(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield tree["frame"]["id"], tree["frame"]["loaderId"]
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
    for script in (_WHOLE % _PATIENCE_MS, _AXE, _RUN % json.dumps(options)):
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
