"""**Reset API Key**: reason, consequences, proofs, the new secret once, and the handover (K1, K2, K12)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from keyturn.core import duration
from keyturn.core import reset as protocol
from keyturn.core.instant import Instant
from keyturn.core.proof import (
    CAPTCHA,
    EMAIL_LINK,
    PASSKEY,
    PASSWORD,
    RECOVERY_CODE,
    TOTP,
)
from keyturn.core.refusal import InvalidField, ResetAlreadyOpen
from keyturn.core.reset import Asking, Reason, Reset
from keyturn.core.stage import OPEN, Stage
from keyturn.edge.places import Aim, aim_of_reset
from keyturn.edge.proving import Sent, prove_reset
from keyturn.edge.refused import Refused
from keyturn.flow import claim as claims
from keyturn.flow import key as keys
from keyturn.flow import preview as previews
from keyturn.flow import proof as proofs
from keyturn.flow import reset as resets
from keyturn.flow.bring import Bring
from keyturn.flow.step import ResetAnswer
from keyturn.ports.transaction import Transaction
from keyturn.web import captcha, showing
from keyturn.web.asked import SignedIn
from keyturn.web.key_form import brought
from keyturn.web.page import HEADERS
from keyturn.web.route import Place, posted_by_members, shown_to_members

FAMILIES: Final = ((PASSWORD,), (CAPTCHA, EMAIL_LINK), (TOTP, PASSKEY, RECOVERY_CODE))
"""Proofs that stand for each other, in the order a person gives them."""
GRACES: Final = ("0s", "1h", "6h", "24h", "3d", "7d", "30d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One step of proving: any one of its kinds will do."""

    kinds: tuple[str, ...]
    done: str
    """The kind that was shown, or empty."""
    now: bool
    """Whether it is the next one to give."""
    vouched: bool = False
    """Whether an operator says that it was shown to them."""


def prompts(reset: Reset, missing: Sequence[str]) -> list[Prompt]:
    """What a person is asked for, step by step: what was shown, then what is still missing."""
    wanted = frozenset[str]().union(*reset.wanted)
    still = frozenset(kind for one in missing for kind in one.split("+"))
    shown = {one.kind for one in reset.proofs} - still
    found: list[Prompt] = []
    for family in FAMILIES:
        kinds = tuple(kind for kind in family if kind in (still or wanted))
        done = next((kind for kind in family if kind in shown), "")
        if done or kinds:
            by_another = any(one.kind == done and one.by != reset.asked_by for one in reset.proofs)
            is_next = not done and all(one.done for one in found)
            found.append(Prompt(kinds=kinds, done=done, now=is_next, vouched=by_another))
    return found


def ask(asked: SignedIn) -> Response:
    """First why; then what it will do, before anything is clicked."""
    return _ask(asked)


def _ask(asked: SignedIn, *, problem: str = "", status: int = 200) -> Response:
    key_id = asked.path["key_id"]
    key, _ = asked.call.read(lambda tx: keys.show(tx, actor=asked.actor, key_id=key_id))
    chosen = asked.form("reason") or asked.query.get("reason", "")
    reason = next((one for one in Reason if one.value == chosen), None)
    if reason is None:
        return asked.show(
            "reset_reason.html", tab="keys", key=key, reasons=list(Reason), problem=problem, status=status
        )
    grace = _grace(asked)
    asking = Asking(reason=reason, grace=grace)
    preview = None
    try:
        preview, _ = asked.call.read(lambda tx: previews.preview(tx, actor=asked.actor, key_id=key_id, asking=asking))
    except Refused as refused:
        if isinstance(refused.refusal, ResetAlreadyOpen):
            return asked.go(f"/resets/{refused.refusal.reset_id}")
        problem, status = problem or asked.say(refused.refusal), refused.refusal.status if status == 200 else status
    policy = preview.reset.policy if preview else None
    return asked.show(
        "reset_ask.html",
        tab="keys",
        key=key,
        reason=reason,
        reasons=list(Reason),
        preview=preview,
        revoke_first=reason in protocol.REVOKE_FIRST,
        graces=[one for one in GRACES if policy and duration.parse(one) <= policy.grace_max],
        grace=duration.to_text(grace) if grace is not None else "",
        steps=prompts(preview.reset, preview.reset.missing(asked.now)) if preview else [],
        once=asked.visit.node.forge.id("one"),
        problem=problem,
        status=status,
    )


def _grace(asked: SignedIn) -> timedelta | None:
    text = asked.form("grace") or asked.query.get("grace", "")
    if not text:
        return None
    try:
        return duration.parse(text)
    except ValueError:
        raise Refused(InvalidField(field="grace", reason=asked.browser.words("wrong.choice"))) from None


def begin(asked: SignedIn) -> Response:
    """Press the button.  With a leaked key that stops it at once (R22)."""
    key_id, call = asked.path["key_id"], asked.call
    try:
        asking = Asking(reason=Reason(asked.form("reason")), grace=_grace(asked), expected_version=_version(asked))
    except ValueError:
        return _ask(asked, problem=asked.browser.words("wrong.choice"), status=422)
    try:
        answer = asked.stop(
            lambda tx: resets.ask(
                tx,
                actor=asked.actor,
                key_id=key_id,
                asking=asking,
                forge=asked.visit.node.forge,
                once=call.once,
                arrived_rev=call.arrived_rev,
            )
        )
    except Refused as refused:
        if isinstance(refused.refusal, ResetAlreadyOpen):
            return asked.go(f"/resets/{refused.refusal.reset_id}")
        return _ask(asked, problem=asked.say(refused.refusal), status=refused.refusal.status)
    return asked.go(f"/resets/{answer.reset.id}")


def _version(asked: SignedIn) -> int | None:
    """The version that the page was written for: another reset since then wins (R14)."""
    text = asked.form("version")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def show(asked: SignedIn) -> Response:
    """Where the reset stands: prompts, the new secret's button, or the handover."""
    return _show(asked)


def _show(asked: SignedIn, *, problem: str = "", wrong: str = "", status: int = 200) -> Response:
    reset_id = asked.path["reset_id"]
    answer, now = asked.call.glance(lambda tx: resets.show(tx, actor=asked.actor, reset_id=reset_id))
    stage = protocol.stage_at(answer.reset, now)
    common: dict[str, Any] = {
        "tab": "keys",
        "reset": answer.reset,
        "key": answer.key,
        "stage": stage.value,
        "problem": problem,
        "wrong": wrong,
    }
    if stage in OPEN:
        missing = answer.reset.missing(now)
        return asked.show(
            "reset.html",
            missing=missing,
            steps=prompts(answer.reset, missing),
            mailed=asked.query.get("mailed") == "yes" and any(EMAIL_LINK in one for one in missing),
            plan=answer.plan,
            headers=captcha.headers(asked) if any(CAPTCHA in one for one in missing) else None,
            **captcha.part(asked),
            mine=protocol.is_asker(answer.reset, asked.actor),
            waits=answer.reset.waits,
            may_resume=answer.key.suspension is not None and not answer.reset.terms.revoke_first,
            two_step=answer.reset.in_two_steps,
            old_stopped=not any(not one.is_over(now) for one in answer.key.secrets),
            once=asked.visit.node.forge.id("one"),
            status=status,
            **common,
        )
    if stage is Stage.ENDED:
        return asked.show("reset_ended.html", status=status, **common)
    new, node = answer.key.secret(answer.reset.new_version or 0), asked.visit.node
    return asked.show(
        "handover_part.html" if asked.live else "handover.html",
        answer=answer,
        new=new,
        fence=node.confirming.look(new.rev if new else 0),
        durability=node.durability,
        old_over=_old_is_over(answer, now),
        status=status,
        **common,
    )


def _old_is_over(answer: ResetAnswer, now: Instant) -> bool:
    old = [one for one in answer.key.secrets if one.version < (answer.reset.new_version or 0)]
    return all(one.is_over(now) for one in old)


def prove(asked: SignedIn) -> Response:
    """One proof; for a mailed link the first one is to ask for it, and in a frame the next one brings it here."""
    reset_id, kind, form = asked.path["reset_id"], asked.form("kind"), asked.form
    sent = Sent(
        kind=kind,
        password=form.raw("password"),
        captcha=captcha.answer(asked),
        token=form("link").rpartition("/")[2] or None,
        code=form(kind),
        credential=showing.credential(form),
    )
    try:
        prove_reset(asked.call, reset_id, sent)
    except Refused as refused:
        return _show(asked, wrong=kind, problem=asked.say(refused.refusal), status=refused.refusal.status)
    return asked.go(f"/resets/{reset_id}{'?mailed=yes' if kind == EMAIL_LINK and not sent.token else ''}")


def ask_passkey(asked: SignedIn) -> Response:
    """What the script is to ask a passkey for this reset."""
    reset_id, authenticators = asked.path["reset_id"], asked.visit.node.authenticators
    options, _ = asked.call.change(
        lambda tx: proofs.ask_passkey(tx, actor=asked.actor, reset_id=reset_id, authenticators=authenticators)
    )
    return JSONResponse(dict(options), headers=HEADERS)


def mailed(asked: SignedIn) -> Response:
    """For the page that waits for a mailed link: nothing new, or the word to load itself again."""
    reset_id = asked.path["reset_id"]
    answer, _ = asked.call.read(lambda tx: resets.show(tx, actor=asked.actor, reset_id=reset_id))
    still = any(EMAIL_LINK in one for one in answer.reset.missing(asked.now))
    headers = {} if still else {"hx-redirect": asked.at(f"/resets/{reset_id}")}
    return Response(status_code=204 if still else 200, headers=HEADERS | headers)


def mint(asked: SignedIn) -> Response:
    """Make the new secret: on this page and nowhere else, ever."""
    reset_id, call = asked.path["reset_id"], asked.call
    call.needs_https("reset.minted", reset_id)
    wrong: dict[str, str] = {}
    public_key, own_secret = brought(asked.form, asked.browser, wrong)
    if wrong:
        return _show(asked, problem=next(iter(wrong.values())), status=422)
    bring: Bring | None = public_key
    if own_secret is not None:
        bring = asked.visit.node.own_secrets.for_reset(own_secret, actor=asked.actor, reset_id=reset_id)
    try:
        answer = asked.stop(
            lambda tx: resets.mint(
                tx, actor=asked.actor, reset_id=reset_id, forge=asked.visit.node.forge, once=call.once, bring=bring
            )
        )
    except Refused as refused:
        return _show(asked, problem=asked.say(refused.refusal), status=refused.refusal.status)
    call.note_minted(answer)
    if answer.secret is None:
        return asked.go(f"/resets/{reset_id}?done={'shown_before' if answer.secret_shown else 'stored'}")
    return asked.show(
        "secret.html",
        tab="keys",
        title="secret.new",
        key=answer.key,
        secret=answer.secret.reveal,
        reset=answer.reset,
        stored_at="",
        status=200,
    )


def stored(asked: SignedIn) -> Response:
    """The owner has it: on to the handover."""
    return asked.go(f"/resets/{asked.path['reset_id']}?done=stored")


def _step(asked: SignedIn, flow: Callable[[Transaction], object], path: str) -> Response:
    """Take a step of the protocol and go on there, or show the reset with why not."""
    refusal = asked.try_change(flow)
    if refusal is not None:
        return _show(asked, problem=asked.say(refusal), status=refusal.status)
    return asked.go(path)


def finish(asked: SignedIn) -> Response:
    """Stop the old secret now."""
    reset_id = asked.path["reset_id"]
    try:
        asked.stop(lambda tx: resets.finish(tx, actor=asked.actor, reset_id=reset_id))
    except Refused as refused:
        return _show(asked, problem=asked.say(refused.refusal), status=refused.refusal.status)
    return asked.go(f"/resets/{reset_id}?done=old_stopped")


def claim(asked: SignedIn) -> Response:
    """Take on a reset that was ordered for the reader."""
    reset_id = asked.path["reset_id"]
    forge, once = asked.visit.node.forge, asked.call.once
    return _step(
        asked,
        lambda tx: claims.claim(tx, actor=asked.actor, reset_id=reset_id, forge=forge, once=once),
        f"/resets/{reset_id}?done=claimed",
    )


def resume(asked: SignedIn) -> Response:
    """A false alarm: lift the suspension in place of making a new secret, with the same full proof (R22)."""
    reset_id = asked.path["reset_id"]
    answer, _ = asked.call.read(lambda tx: resets.show(tx, actor=asked.actor, reset_id=reset_id))
    key_id = answer.key.id
    return _step(asked, lambda tx: keys.resume(tx, actor=asked.actor, key_id=key_id), f"/keys/{key_id}?done=resumed")


def cancel(asked: SignedIn) -> Response:
    """Call it off; what a leak suspended stays suspended."""
    reset_id = asked.path["reset_id"]
    return _step(
        asked,
        lambda tx: resets.cancel(tx, actor=asked.actor, reset_id=reset_id),
        f"/resets/{reset_id}?done=cancelled",
    )


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members("/keys/{key_id}/reset", ask),
    posted_by_members("/keys/{key_id}/reset", begin, aim=lambda form: aim_of_reset(form("reason"))),
    shown_to_members("/resets/{reset_id}", show),
    posted_by_members("/resets/{reset_id}/proofs", prove, slow=True),
    posted_by_members("/resets/{reset_id}/passkey", ask_passkey),
    shown_to_members("/resets/{reset_id}/mailed", mailed),
    posted_by_members("/resets/{reset_id}/mint", mint, slow=True),
    posted_by_members("/resets/{reset_id}/stored", stored),
    posted_by_members("/resets/{reset_id}/finish", finish, aim=Aim.STOP),
    posted_by_members("/resets/{reset_id}/cancel", cancel),
    posted_by_members("/resets/{reset_id}/resume", resume),
    posted_by_members("/resets/{reset_id}/claim", claim),
)
