"""`/v1/feed`: one stream for each attached verifier, and what it asks about a key that it does not know (F4, F7).

Both directions are lines of JSON (`verify.message`) in one request and its response, for as long as either side likes.
Nothing is queued for a slow reader: it gets what is new when it has taken what was sent before.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header
from pydantic import Field
from starlette.types import Receive, Scope, Send

from keyturn.api import credential
from keyturn.api.call import AnyCall
from keyturn.api.problem import problem_bytes, problem_headers
from keyturn.api.schemas.field import ShortText
from keyturn.api.schemas.form import Form
from keyturn.core import feed
from keyturn.core.actor import Actor, Channel
from keyturn.core.allowlist import Matcher
from keyturn.core.lease import AHEAD, FOR_GOOD, Acknowledgement, Denial, Push, Renewal
from keyturn.core.limit import MOST_REQUESTS
from keyturn.core.own_secret import check_own_label
from keyturn.core.permission import RIGHT_ATTACH
from keyturn.core.refusal import (
    DuplicateHeader,
    InvalidField,
    KeyInQuery,
    MethodNotAllowed,
    PermissionMissing,
    Refusal,
)
from keyturn.core.share import Rest, Wish
from keyturn.edge.client_address import client_address
from keyturn.edge.node import Node
from keyturn.edge.outage import of_outage
from keyturn.edge.refused import Refused
from keyturn.edge.url import url_holds_secret
from keyturn.edge.visit import Call
from keyturn.flow.own_secret import TooManyFailures
from keyturn.ports.store import StoreUnavailable
from keyturn.verify.message import GiveBack, Message, Report, read, write

FEED: Final = "/v1/feed"
PROOF: Final = b"x-keyturn-instance"
"""A header of the stream's: random, the same for as long as the instance lives, and known to it alone."""
_LONGEST_LINE: Final = 1_000_000
_BATCH: Final = 500
_MOST_WISHES: Final = 100
_LAST: Final = (b"connection", b"close")
"""Once the answer is over nobody reads what else comes, nor keeps the connection for it."""
T = TypeVar("T")
log = logging.getLogger("keyturn")
router = APIRouter(prefix=FEED, tags=["fleet"])


Proof = Annotated[str, Header(description="As the stream of the same verifier has shown it.")]


class AskFill(Form):
    """Of whom a verifier has seen a secret that it does not know."""

    key_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="The SHA-256 of what was presented.")
    label: str | None = Field(default=None, description="Of a customer's own secret.")


@router.post("/fill", summary="What an attached verifier keeps of one key")
async def fill(call: AnyCall, body: AskFill, x_keyturn_instance: Proof = "") -> dict[str, Any]:
    """The key whose secret has this fingerprint, and the revision it was read at (F4).  No secret is in it.

    The answer names the fingerprint: whoever asks takes no other's for it.

    Whoever holds no lease here is told nothing that it could remember: `unleased` (F12).
    """
    places = call.places.verifying if body.label is None else None  # an own secret is slow to try (R42)
    answer = await to_thread.run_sync(_fill, call, body, x_keyturn_instance, limiter=places)
    return {"key_sha256": body.key_sha256} | answer


def _fill(call: Call, body: AskFill, instance: str) -> dict[str, Any]:
    refusal = _check(call.actor)
    if refusal is not None:
        raise Refused(refusal)
    node = call.node
    try:
        label = check_own_label(body.label) if body.label is not None else ""
    except ValueError:
        raise Refused(InvalidField(field="label", reason="write the label of an own secret")) from None
    if not _is_leased(call, instance):
        return {"unleased": True}
    find = node.own_secrets.lookup(label, now=node.clock.micros()) if label else node.store.lookup
    try:
        found = find(bytes.fromhex(body.key_sha256))
    except TooManyFailures as failures:
        # Of the secret, not of the verifier's own credential: so no refusal of this call.
        return {"retry_after": max(1, -(-failures.wait // 1_000_000))}
    state = feed.to_plain(found.state) if found.state else None
    answer = {"rev": found.rev, "epoch": found.epoch, "version": found.version, "state": state}
    return answer | {"time": found.time}


class AskShare(Form):
    """What a verifier wishes to be lent of one key's limit."""

    key_id: ShortText
    waiting: int = Field(ge=1, le=MOST_REQUESTS, description="Requests that wait for it.")
    ahead: int = Field(default=0, ge=0, le=MOST_REQUESTS, description="How many more are likely to come soon.")


class Return(Form):
    """What it spends no more of a loan."""

    key_id: ShortText
    loan: ShortText
    requests: int = Field(ge=0, le=MOST_REQUESTS)


class AskShares(Form):
    """What a verifier wishes to be lent, and what it gives back."""

    wishes: list[AskShare] = Field(default=[], max_length=_MOST_WISHES)
    rests: list[Return] = Field(default=[], max_length=_MOST_WISHES)


@router.post("/share", summary="What an attached verifier may decide of keys with a limit")
async def share(call: AnyCall, body: AskShares, x_keyturn_instance: Proof = "") -> dict[str, Any]:
    """Requests of each key that it may let through by itself for a second (F15); keys without a limit are left out.

    Whoever holds no lease here is lent nothing: `unleased` (F12).
    """
    return await to_thread.run_sync(_share, call, body, x_keyturn_instance, limiter=call.places.verifying)


def _share(call: Call, body: AskShares, instance: str) -> dict[str, Any]:
    refusal = _check(call.actor)
    if refusal is not None:
        raise Refused(refusal)
    if not _is_leased(call, instance):
        return {"shares": [], "unleased": True}
    wishes = [Wish(**dict(one)) for one in body.wishes]
    lent = call.node.sharing.lend(wishes, [Rest(**dict(one)) for one in body.rests])
    return {"shares": [asdict(one) for one in lent]}


def _is_leased(call: Call, instance: str) -> bool:
    member, proof = call.node.membership, instance.encode()
    return bool(proof) and member.granter.knows(_holder(call.actor, proof), member.boot())


def _check(actor: Actor) -> Refusal | None:
    """Only the operator's own verifiers may follow the feed: it tells of every account."""
    may = actor.channel is Channel.MACHINE and actor.in_deployment_account and actor.may(RIGHT_ATTACH, actor.account_id)
    return None if may else PermissionMissing(needed=RIGHT_ATTACH)


class Feeding:
    """ASGI: the stream."""

    def __init__(self, node: Node, proxies: Matcher, places: CapacityLimiter, *, base_url: str) -> None:
        self._node = node
        self._proxies = proxies
        self._places = places
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._refuse(MethodNotAllowed(), send)
            return
        try:
            known = _malformed(scope) or await self._known(scope)
        except StoreUnavailable as error:
            known = of_outage(error)
        if isinstance(known, Refusal):
            await self._refuse(known, send)
            return
        headers = [(b"content-type", b"application/x-ndjson"), _LAST]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        proof = next((value for name, value in scope["headers"] if name == PROOF), b"")
        stream = _Stream(
            self._node,
            send,
            holder=_holder(known, proof),
            places=self._places,
            still_allowed=lambda: self._known(scope),
        )
        try:
            await stream.run(receive)
        finally:
            stream.close()
        await send({"type": "http.response.body", "body": b""})

    async def _known(self, scope: Scope) -> Actor | Refusal:
        known = credential.show(self._node, scope, address=client_address(scope, self._proxies), limited=False)
        if callable(known):
            known = await to_thread.run_sync(known, limiter=self._places)
        return known if isinstance(known, Refusal) else _check(known.actor) or known.actor

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in problem_headers(refusal).items()]
        if isinstance(refusal, MethodNotAllowed):
            headers.append((b"allow", b"POST"))
        body = problem_bytes(refusal, base_url=self._base_url)
        headers += [(b"content-length", str(len(body)).encode()), _LAST]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _malformed(scope: Scope) -> Refusal | None:
    """What every other request is refused for as well, before it is asked who sends it."""
    if sum(name == b"authorization" for name, _ in scope["headers"]) > 1:
        return DuplicateHeader(header="authorization")
    return KeyInQuery() if url_holds_secret(scope) else None


def _holder(actor: Actor, proof: bytes) -> bytes:
    """Whose instances those of a stream are: of a credential, which several may share, and of a proof beside it."""
    return sha256(actor.id.encode() + b"\n" + proof).digest()


class _EndOfStreamError(Exception):
    """There is no more to say; the reason is for the log."""


class _Stream:
    """One attached verifier."""

    def __init__(
        self,
        node: Node,
        send: Send,
        *,
        holder: bytes,
        places: CapacityLimiter,
        still_allowed: Callable[[], Any],
    ) -> None:
        self._node = node
        self._member = node.membership
        self._send = send
        self._holder = holder
        self._places = places
        self._still_allowed = still_allowed
        self._instance = ""
        self._terms = self._member.terms
        self._until: asyncio.Timeout
        self._sent_rev: int | None = None
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end = self._member.listen(partial(loop.call_soon_threadsafe, self._news.set))

    def _patience(self) -> float:
        return max(self._terms.fence, self._member.terms.fence) / 1e6

    def close(self) -> None:
        """Stop listening to the feed."""
        self._end()

    async def run(self, receive: Receive) -> None:
        """Answer until either side ends it, or the other one says what no verifier says."""
        await self._write(self._terms)
        both = [asyncio.create_task(self._push()), asyncio.create_task(self._listen(receive))]
        try:
            async with asyncio.timeout(self._patience()) as self._until:
                done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        except (ValueError, RecursionError):
            log.warning("a verifier's stream was ended: a line that is no message")
        except TimeoutError:
            # Each renewal shows the credential anew: who sends none is told nothing more.
            log.info("a verifier's stream was ended: no renewal came in time")
        except (_EndOfStreamError, StoreUnavailable) as error:
            log.info("a verifier's stream was ended: %s", str(error) or type(error).__name__)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _listen(self, receive: Receive) -> None:
        async for line in _lines(receive):
            await self._hear(read(line), size=len(line))

    async def _hear(self, message: Message, *, size: int) -> None:
        match message:
            case Renewal():
                await self._renew(message)
            case Acknowledgement():
                if not self._instance or self._cannot_have(message.epoch, message.rev):
                    raise ValueError("acknowledged what it cannot have")
                # Telling others is a moment's work, but waits for locks that threads hold.
                self._member.acknowledged(self._instance, epoch=message.epoch, rev=message.rev)
            case Report():
                self._node.housekeeper.report(message, by=self._instance, size=size)
            case GiveBack():
                self._node.sharing.given_back(message.rests)
            case _:
                raise ValueError("a message that verifiers do not send")

    def _cannot_have(self, epoch: int, rev: int) -> bool:
        """What has just ended with its epoch may still be acknowledged; it counts for nothing."""
        if rev == FOR_GOOD:
            return False
        here = self._node.verifier.epoch
        return epoch > here or (epoch == here and rev > self._member.recent.rev)

    async def _renew(self, renewal: Renewal) -> None:
        if self._instance not in ("", renewal.instance):
            raise ValueError("two instances on one stream")
        if renewal.acked_rev > renewal.applied_rev:
            raise ValueError("acknowledged what it has not applied")
        known = await self._still_allowed()
        if isinstance(known, Refusal):
            raise _EndOfStreamError(known.kind)
        member = self._member
        if renewal.epoch > self._node.verifier.epoch:
            await self._in_thread(member.renew)  # another node has heard of a new epoch first
        if renewal.applied_rev > member.recent.rev:
            await self._in_thread(self._node.follower.catch_up)
        # What lies above the authority's own revision is no acknowledgement, here as in a fence (F5).
        counts = not self._cannot_have(renewal.epoch, renewal.acked_rev)
        heard = renewal if counts else replace(renewal, acked_rev=0)
        if not member.granter.asked(heard, member.boot(), holder=self._holder):
            raise _EndOfStreamError("the instance is another verifier's")
        self._instance = renewal.instance
        self._until.reschedule(asyncio.get_running_loop().time() + self._patience())
        await self._in_thread(partial(member.publish, renewal.instance))
        if member.terms != self._terms:
            self._terms = member.terms
            await self._write(self._terms)
        applied = renewal.applied_rev, renewal.applied_at
        is_lost = await self._in_thread(partial(member.has_lost, applied, epoch=renewal.epoch))
        answer = member.grant(renewal, self._terms, is_lost=is_lost)
        if isinstance(answer, Denial):
            if answer.reason == AHEAD:
                log.error("verifier %s knows more than the database: a restored backup?", renewal.instance)
        else:
            # Joined anew it goes on from there, also where an epoch before has come further (F9).
            self._sent_rev = answer.rev if answer.anew else max(self._sent_rev or 0, answer.rev)
        await self._write(answer)
        if member.leaving:
            raise _EndOfStreamError("this node is leaving")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._places)

    async def _push(self) -> None:
        while not self._member.leaving:
            await self._news.wait()
            self._news.clear()
            while self._sent_rev is not None:
                rev, entries = self._member.recent.after(self._sent_rev)
                if not entries:
                    break  # nothing, or too much: then the next grant says so
                part = entries[:_BATCH]
                self._sent_rev = part[-1].rev
                await self._write(Push(epoch=self._node.verifier.epoch, entries=part))
                if self._sent_rev >= rev:
                    break

    async def _write(self, message: Message) -> None:
        await self._send({"type": "http.response.body", "body": write(message), "more_body": True})


async def _lines(receive: Receive) -> Any:  # noqa: ANN401  # an asynchronous generator of lines
    rest = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        *whole, rest = (rest + message.get("body", b"")).split(b"\n")
        if max(map(len, (*whole, rest))) > _LONGEST_LINE:
            raise ValueError("a line that does not end, or too late")
        for line in whole:
            yield line
        if not message.get("more_body", False):
            return
