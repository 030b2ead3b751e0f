"""One request on its way through a handler: who asks, from where, under which Idempotency-Key, and the store."""

import json
import re
from collections import Counter
from typing import Annotated, Final

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Request
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase

from keyturn.api import credential
from keyturn.api.aim import aim_of, is_limited
from keyturn.api.body import PARSED
from keyturn.api.problem import field_name
from keyturn.core.actor import Actor
from keyturn.core.refusal import InvalidField, InvalidHeader, NotFound, Refusal
from keyturn.edge.client_address import client_address
from keyturn.edge.places import Aim
from keyturn.edge.refused import Refused
from keyturn.edge.secure import is_secure
from keyturn.edge.visit import ARRIVED_REV, Call, Surroundings, Visit
from keyturn.flow.replay import Once

RATE_HEADERS: Final = "keyturn.rate_headers"
"""Where on the scope the headers stand that tell what the caller's limit leaves."""
VERIFIERS_ASK: Final = frozenset({"/v1/feed/fill", "/v1/feed/share"})
"""What attached verifiers ask while a request waits at each."""
_ID: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}", re.ASCII)


def id_in_path(text: str) -> str:
    """An id as it may stand in an address; anything else is no id of anything."""
    if not _ID.fullmatch(text):
        raise Refused(NotFound())
    return text


class _Bearer(SecurityBase):
    """`Authorization: Bearer`: a key or a session token."""

    def __init__(self) -> None:
        self.model = BearerModel(description="A key (`kt_live_…`) or a session token (`kts_…`).")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request) -> Actor:
        """Who asks.  Raises Refused, before the body is looked at."""
        around: Surroundings = request.app.state.around
        aim = aim_of(request.scope)
        limited = is_limited(request.scope)
        known = credential.show(around.node, request.scope, address=_address(request, around), limited=limited)
        if callable(known):
            known = await to_thread.run_sync(known, limiter=_place(request, aim, around))
        if isinstance(known, Refusal):
            raise Refused(known)
        request.scope[RATE_HEADERS] = known.rate_headers
        _check_query(request)
        return known.actor


def _place(request: Request, aim: Aim, around: Surroundings) -> CapacityLimiter | None:
    """Where whoever is yet to be known is looked up: anybody may say that they stop something, and waits apart (K8)."""
    verifies = request.scope["route"].path in VERIFIERS_ASK
    return around.places.verifying if verifies or aim is not Aim.OTHER else None


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
        places=around.places,
        receipts=around.receipts,
        slowly=around.slowly,
        aim=aim_of(request.scope),
        secure=is_secure(request.scope, around.proxies),
        address=_address(request, around),
        user_agent=request.headers.get("user-agent", ""),
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
        places=visit.places,
        receipts=visit.receipts,
        slowly=request.app.state.around.slowly_known,
        aim=visit.aim,
        secure=visit.secure,
        address=visit.address,
        user_agent=visit.user_agent,
        actor=actor,
        arrived_rev=request.scope[ARRIVED_REV],
        once=once,
    )


def _once(request: Request, actor: Actor, idempotency_key: str | None) -> Once | None:
    if idempotency_key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise Refused(InvalidHeader(header="idempotency-key"))
    asked = [request.method, request.scope["path"], _without_secret(request.scope.get(PARSED))]
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    # Keyed, for a body may hold a password or a code: a plain digest of it could be tried out by who reads it.
    digest = request.app.state.around.node.forge.derived("request", canonical)
    return Once(caller=actor.id, idempotency_key=idempotency_key, request=digest)


def _without_secret(body: object) -> object:
    """What is digested of a body is kept, and a quick digest of a chosen secret is a way to guess it (R42).

    The flow compares an own secret by its slow mark instead.
    """
    return {**body, "own_secret": True} if isinstance(body, dict) and "own_secret" in body else body


def _address(request: Request, around: Surroundings) -> str | None:
    return client_address(request.scope, around.proxies)


AnyVisit = Annotated[Visit, Depends(_stranger)]
AnyCall = Annotated[Call, Depends(_call)]
OnceCall = Annotated[Call, Depends(_call_once)]
