"""One function turns any refusal into a problem document (RFC 9457); no handler picks a status.

A problem never repeats what was sent: a value that cannot be used may be a secret in the wrong place.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from keyturn.core.instant import Instant, to_text
from keyturn.core.own_secret import is_presentable
from keyturn.core.refusal import (
    Busy,
    CaptchaAway,
    InvalidField,
    LeaseLapsed,
    MalformedBody,
    OutcomeUnknown,
    Refusal,
    SecondFactorRequired,
    StoreAway,
    TooManyRequests,
    Unauthenticated,
    UnknownField,
)

MEDIA_TYPE: Final = "application/problem+json"
CHALLENGE: Final = 'Bearer realm="keyturn"'
_STEP_UP: Final = f'{CHALLENGE}, error="insufficient_user_authentication"'
"""RFC 9470: who asks is known, and is to show more."""
INTERNAL: Final = "internal"
"""The code of a bug's answer.  It is no refusal."""
INTERNAL_TITLE: Final = "Something went wrong here; it was noted."
AWAY_SECONDS: Final = 2
"""When to come back to a store that is away."""
_BUSY_SECONDS: Final = 1
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}", re.ASCII)
_QUOTED: Final = re.compile(r""": (['"]).*\1(?=;|$)""", re.DOTALL)
log = logging.getLogger("keyturn")


def problem(refusal: Refusal, *, base_url: str = "") -> dict[str, Any]:
    """The problem document."""
    own = {one.name: _plain(getattr(refusal, one.name)) for one in fields(refusal)}
    return {
        "type": f"{base_url}/problems/{refusal.kind}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": _detail(refusal, own),
        "code": refusal.kind,
        **own,
    }


def problem_bytes(refusal: Refusal, *, base_url: str = "") -> bytes:
    """The problem document as it is sent."""
    return json.dumps(problem(refusal, base_url=base_url), ensure_ascii=False, separators=(",", ":")).encode()


def problem_headers(refusal: Refusal) -> dict[str, str]:
    """What goes with the document."""
    headers = {"content-type": MEDIA_TYPE}
    if refusal.status == Unauthenticated.status:
        headers["www-authenticate"] = _STEP_UP if isinstance(refusal, SecondFactorRequired) else CHALLENGE
    wait = retry_after(refusal)
    if wait is not None:
        headers["retry-after"] = str(wait)
    return headers


def retry_after(refusal: Refusal) -> int | None:
    """Seconds after which the same request may be answered otherwise, where that is known."""
    if isinstance(refusal, TooManyRequests):
        return refusal.retry_after
    if isinstance(refusal, StoreAway | OutcomeUnknown | LeaseLapsed | CaptchaAway):
        return AWAY_SECONDS
    return _BUSY_SECONDS if isinstance(refusal, Busy) else None


def internal_bytes(*, base_url: str = "") -> bytes:
    """The answer to a bug: it says nothing, the log says where."""
    document = {"type": f"{base_url}/problems/{INTERNAL}", "title": INTERNAL_TITLE, "status": 500}
    return json.dumps(document | {"detail": INTERNAL_TITLE, "code": INTERNAL}).encode()


def note_bug(error: BaseException, *, request_id: str) -> None:
    """Log where an unexpected exception came from, never what it says: a message may hold what was sent."""
    while error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
        frames = traceback.extract_tb(error.__traceback__)
        log.error("bug in request %s: %s%s", request_id, type(error).__qualname__, _where(frames))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # the loop has just seen one of them
    frames = traceback.extract_tb(error.__traceback__)
    log.error("bug in request %s: %s%s", request_id, type(error).__qualname__, _where(frames))


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Refusal:
    """The refusal for what the declared form of a request does not admit; the first fault speaks for all."""
    unknown = [one for one in errors if one["type"] == "extra_forbidden"]
    first = (unknown or list(errors))[0]
    where = first["loc"][0]
    if first["type"] == "json_invalid":
        return MalformedBody(reason="not JSON")
    name = field_name(first["loc"][1:])
    if unknown and where == "body":
        return UnknownField(field=name)
    if unknown:
        return InvalidField(field=name, reason="there is no such query parameter")
    return InvalidField(field=name, reason=_reason(first))


def field_name(path: Iterable[object]) -> str:
    """A field's name for a problem: dotted, without tags, without anything that may be secret."""
    parts = [_safe_name(str(one)) for one in path if not (isinstance(one, str) and "[" in one)]
    return ".".join(parts) or "body"


def shielded(reason: str) -> str:
    """A reason of the core's without the quoted value in it."""
    return _QUOTED.sub("", reason)


def _safe_name(name: str) -> str:
    if is_presentable(name) or not (_NAME.fullmatch(name) or name.isdigit()):
        return "?"
    return name


def _reason(error: Mapping[str, Any]) -> str:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return shielded(str(cause))
    return str(error["msg"])[:1].lower() + str(error["msg"])[1:]


def _detail(refusal: Refusal, own: Mapping[str, Any]) -> str:
    if not own:
        return refusal.title
    if isinstance(refusal, InvalidField):
        return f"{refusal.title} {refusal.field}: {refusal.reason}."
    told = "; ".join(f"{name}: {_words(value)}" for name, value in own.items())
    return f"{refusal.title} ({told})"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return to_text(Instant(value))
    return list(value) if isinstance(value, tuple) else value


def _where(frames: Iterable[traceback.FrameSummary]) -> str:
    return "".join(f"\n  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
