"""One request on its way through a handler: who asks, from where, under which Idempotency-Key, and the store."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Header, Request
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool

from keyturn.api import credential
from keyturn.api.body import ARRIVED_REV, PARSED
from keyturn.api.client_address import client_address
from keyturn.api.metrics import Metrics
from keyturn.api.node import Node
from keyturn.api.problem import Refused, field_name
from keyturn.api.secure import is_secure
from keyturn.api.slow import Slowly
from keyturn.core.actor import Actor
from keyturn.core.allowlist import Matcher
from keyturn.core.instant import Instant
from keyturn.core.refusal import HttpsRequired, InvalidField, InvalidHeader, NotFound, Refusal, Unauthenticated
from keyturn.flow.credential import stands
from keyturn.flow.evidence import refused
from keyturn.flow.replay import Once
from keyturn.flow.reset import ResetAnswer
from keyturn.ports import Transaction

T = TypeVar("T")
RATE_HEADERS: Final = "keyturn.rate_headers"
"""Where on the scope the headers stand that tell what the caller's limit leaves."""
_ID: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every request of one server shares."""

    node: Node
    proxies: Matcher
    metrics: Metrics
    slowly: Slowly


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request, whoever asks."""

    node: Node
    metrics: Metrics
    slowly: Slowly
    secure: bool
    address: str | None

    def change(self, flow: Callable[[Transaction], T | Refusal]) -> tuple[T, Instant]:
        """Run a flow and answer what it made, with authority time; its refusal leaves as a problem."""
        now, answer = self.node.store.change(lambda tx: (tx.now, flow(tx)))
        return _granted(answer), now

    def read(self, query: Callable[[Transaction], T | Refusal]) -> tuple[T, Instant]:
        """The same for a question that changes nothing."""
        now, answer = self.node.store.read(lambda tx: (tx.now, query(tx)))
        return _granted(answer), now


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Visit):
    """A request of somebody we know."""

    actor: Actor
    arrived_rev: int
    once: Once | None

    def change(self, flow: Callable[[Transaction], T | Refusal]) -> tuple[T, Instant]:
        """As for anybody, if the credential still stands: it may have been stopped while the request waited (F0)."""
        return super(Call, self).change(lambda tx: flow(tx) if stands(tx, self.actor) else Unauthenticated())

    def needs_https(self, action: str, subject_id: str) -> None:
        """Refuse, before anything changes, to hand out a secret that others could read on its way (K11)."""
        if self.secure:
            return
        actor = self.actor
        self.change(lambda tx: refused(tx, actor, action, HttpsRequired(), subject_id=subject_id))

    def note_minted(self, answer: ResetAnswer) -> None:
        """Count a new secret, once: a replay holds none."""
        if answer.secret is not None:
            self.metrics.minted.labels(answer.reset.asking.reason.value).inc()


def id_in_path(text: str) -> str:
    """An id as it may stand in an address; anything else is no id of anything."""
    if not _ID.fullmatch(text):
        raise Refused(NotFound())
    return text


def _granted(answer: T | Refusal) -> T:
    if isinstance(answer, Refusal):
        raise Refused(answer)
    return answer


class _Bearer(SecurityBase):
    """`Authorization: Bearer`: a key or a session token."""

    def __init__(self) -> None:
        self.model = BearerModel(description="A key (`kt_live_…`) or a session token (`kts_…`).")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Actor:
        """Who asks.  Raises Refused, before the body is looked at."""
        around: Surroundings = request.app.state.around
        known = credential.show(around.node, request.scope, address=_address(request, around))
        if callable(known):
            known = await run_in_threadpool(known)
        if isinstance(known, Refusal):
            raise Refused(known)
        request.scope[RATE_HEADERS] = known.rate_headers
        _check_query(request)
        return known.actor


def _check_query(request: Request) -> None:
    """Refuse a parameter unknown to the call, or given twice: without its filter a list would hold everything."""
    known = {one.alias for one in request.scope["route"].dependant.query_params}
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            raise Refused(InvalidField(field=field_name([name]), reason="there is no such query parameter"))
        if count > 1:
            raise Refused(InvalidField(field=field_name([name]), reason="given twice"))


def _visit(request: Request) -> Visit:
    around: Surroundings = request.app.state.around
    return Visit(
        node=around.node,
        metrics=around.metrics,
        slowly=around.slowly,
        secure=is_secure(request.scope, around.proxies),
        address=_address(request, around),
    )


async def _stranger(request: Request) -> Visit:
    return _visit(request)


async def _call(request: Request, actor: Annotated[Actor, Depends(_Bearer())]) -> Call:
    return _known(request, actor, once=None)


async def _call_once(
    request: Request,
    actor: Annotated[Actor, Depends(_Bearer())],
    idempotency_key: Annotated[
        str | None,
        Header(
            description="1 to 255 visible ASCII characters.  A retry under the same one changes nothing twice and"
            " answers without the secret.",
        ),
    ] = None,
) -> Call:
    return _known(request, actor, once=_once(request, actor, idempotency_key))


def _known(request: Request, actor: Actor, *, once: Once | None) -> Call:
    visit = _visit(request)
    return Call(
        node=visit.node,
        metrics=visit.metrics,
        slowly=visit.slowly,
        secure=visit.secure,
        address=visit.address,
        actor=actor,
        arrived_rev=request.scope[ARRIVED_REV],
        once=once,
    )


def _once(request: Request, actor: Actor, idempotency_key: str | None) -> Once | None:
    if idempotency_key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise Refused(InvalidHeader(header="idempotency-key"))
    asked = [request.method, request.scope["path"], request.scope.get(PARSED)]
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()
    return Once(caller=actor.id, idempotency_key=idempotency_key, request=sha256(canonical).digest())


def _address(request: Request, around: Surroundings) -> str | None:
    return client_address(request.scope, around.proxies)


AnyVisit = Annotated[Visit, Depends(_stranger)]
AnyCall = Annotated[Call, Depends(_call)]
OnceCall = Annotated[Call, Depends(_call_once)]
