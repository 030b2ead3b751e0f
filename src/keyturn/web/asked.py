"""One request for a page: who looks, from which browser, with which form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from keyturn.core.actor import Actor
from keyturn.core.instant import Instant
from keyturn.core.portal import Portal
from keyturn.core.refusal import Refusal
from keyturn.edge.receipt import ReceiptDue, stopped_at
from keyturn.edge.refused import Refused
from keyturn.edge.visit import Call, Visit
from keyturn.flow.key import KeyAnswer
from keyturn.flow.step import ResetAnswer
from keyturn.ports.transaction import Transaction
from keyturn.web.browser import Browser
from keyturn.web.form import Form
from keyturn.web.page import Pages, answer, refusal_text, see_other

A = TypeVar("A", KeyAnswer, ResetAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a page, whoever looks."""

    visit: Visit
    browser: Browser
    pages: Pages
    form: Form
    path: Mapping[str, str]
    query: Mapping[str, str]
    live: bool
    """Asked by the script for a part of a page."""
    user_agent: str
    origin: str
    """Whose page sent the form, as the browser says."""
    here: str
    """The page's own address, where it can be asked for again."""
    around: Mapping[str, Any]
    """What every page shows of whoever is signed in."""
    owed: list[ReceiptDue]
    """What is waited for before the answer leaves."""
    known: Callable[[], "SignedIn | None"]
    """The same request as somebody's who is signed in in this browser, on a page that is for anybody."""

    @property
    def now(self) -> Instant:
        """Authority time, as this node knows it."""
        return self.visit.node.clock.now()

    def show(
        self,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,  # noqa: ANN401  # a template's
    ) -> Response:
        """A page."""
        done = self.query.get("done", "")
        done = done if self.browser.words.has(f"done.{done}") else ""
        values = {"done": done, "here": self.here, **self.around, **values}
        html = self.pages.write(template, self.browser, self.now, **values)
        return answer(html, self.browser, status=status, headers=headers, framed_by=self.framed_by)

    @property
    def framed_by(self) -> str:
        """The one origin whose pages may stand around this one; empty for none."""
        portal: Portal | None = self.around.get("portal") if self.browser.door.framed else None
        return portal.embed_origin if portal else ""

    def at(self, path: str) -> str:
        """The address of a page behind the same door."""
        return self.browser.door.prefix + path

    def go(self, path: str) -> Response:
        """On to another page."""
        return see_other(self.at(path), self.browser)

    def say(self, refusal: Refusal) -> str:
        """A refusal in the reader's language."""
        return refusal_text(refusal, self.browser.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn(Asked):
    """The same of somebody who is signed in."""

    call: Call

    @property
    def actor(self) -> Actor:
        """Who looks."""
        return self.call.actor

    def stop(self, flow: Callable[[Transaction], A | Refusal]) -> A:
        """Run a flow that may stop a secret; the page is sent once every verifier refuses it (F5).

        While an old secret goes on nothing is waited for: the handover shows who has confirmed its dates.
        """
        answer, committed = self.call.change(flow)
        stopped, reset_id = _stopped(answer, committed.at)
        if answer.rev and stopped is not None:
            due = ReceiptDue(
                rev=answer.rev,
                epoch=committed.epoch,
                durability=self.call.node.durability,
                stopped_at=stopped,
                key_id=answer.key.id,
                reset_id=reset_id,
            )
            self.owed.append(due)
        return answer

    def try_change(self, flow: Callable[[Transaction], object]) -> Refusal | None:
        """Run a flow; its refusal, where the page itself is to show it."""
        try:
            self.call.change(flow)
        except Refused as refused:
            return refused.refusal
        return None


def _stopped(answer: KeyAnswer | ResetAnswer, now: Instant) -> tuple[Instant | None, str]:
    """Since when what was accepted before is refused, and by which reset."""
    if isinstance(answer, ResetAnswer):
        return stopped_at(answer, now), answer.reset.id
    return now, ""
