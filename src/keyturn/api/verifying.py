"""The careful way to verify over HTTP: any request the server understands, warm or cold, answered below the framework.

`hot.py` answers the plain and warm ones before they come here; both ask the same verifier and write the same answer.
"""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from keyturn.api import credential
from keyturn.api.body import PARSED
from keyturn.api.problem import field_name, problem_bytes, problem_headers
from keyturn.api.verdict import (
    AUTHZ,
    VERIFY,
    Hot,
    Question,
    address,
    authz_of,
    body_of,
    secret_of,
    wanted_permissions,
)
from keyturn.core.actor import Actor
from keyturn.core.client_address import told
from keyturn.core.own_secret import check_own_label, label_of
from keyturn.core.permission import RIGHT_VERIFY
from keyturn.core.refusal import (
    DuplicateHeader,
    InvalidField,
    InvalidHeader,
    KeyInQuery,
    LeaseLapsed,
    MethodNotAllowed,
    PermissionMissing,
    Refusal,
    Unauthenticated,
    UnknownField,
)
from keyturn.edge.client_address import client_address
from keyturn.edge.node import Node
from keyturn.edge.outage import of_outage
from keyturn.edge.url import query_holds_secret
from keyturn.flow.own_secret import TooManyFailures
from keyturn.outside import ed25519
from keyturn.ports.store import StoreUnavailable
from keyturn.verify.decision import ASK, MISS, RATE_LIMITED, UNKNOWN_VERDICT, Verdict, wait_verdict
from keyturn.verify.entry import view
from keyturn.verify.memory import Fill
from keyturn.verify.signed import Signed
from keyturn.verify.signers import Signer
from keyturn.verify.stops import PastLost

_FIELDS: Final = frozenset({"key", "key_sha256", "label", "signed", "permissions", "ip", "context"})
_SIGNED: Final = frozenset({"key_id", "base", "signature"})
APPLIED: Final = b"x-keyturn-applied"
_APPLIED: Final = re.compile(rb"([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18})")
_DIGEST: Final = re.compile("[0-9A-Fa-f]{64}", re.ASCII)
_LONGEST_AGENT: Final = 200
_SINGLE: Final = frozenset({b"authorization", b"x-api-key", b"x-keyturn-credential", b"x-keyturn-permission"})


class Verifying:
    """ASGI middleware: answers the two calls, passes everything else on."""

    def __init__(self, app: ASGIApp, node: Node, hot: Hot, places: CapacityLimiter) -> None:
        self._app = app
        self._node = node
        self._hot = hot
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == VERIFY:
            await self._answer(scope, send, self._verify)
        elif scope["type"] == "http" and is_authz(scope["path"]):
            await self._answer(scope, send, self._authz)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, send: Send, call: Any) -> None:  # noqa: ANN401  # one of the two below
        try:
            status, headers, body = await call(scope)
        except StoreUnavailable as error:
            lapsed = not self._look()[1]
            status, headers, body = self._problem(LeaseLapsed() if lapsed else of_outage(error))
        except PastLost:
            status, headers, body = self._problem(LeaseLapsed())
        start = {"type": "http.response.start", "status": status}
        await send(start | {"headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _problem(self, refusal: Refusal) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        headers = [(name.encode(), value.encode()) for name, value in problem_headers(refusal).items()]
        if isinstance(refusal, MethodNotAllowed):
            headers.append((b"allow", b"POST"))
        if isinstance(refusal, Unauthenticated | PermissionMissing):
            headers.append((b"x-keyturn-code", refusal.kind.encode()))
        return refusal.status, headers, problem_bytes(refusal, base_url=self._hot.base_url)

    async def _verify(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if scope["method"] != "POST":
            return self._problem(MethodNotAllowed())
        asker = await self._asker(scope)
        if isinstance(asker, Refusal):
            return self._problem(asker)
        question = read_question(scope[PARSED])
        if isinstance(question, Refusal):
            return self._problem(question)
        applied = read_applied(scope["headers"])
        if isinstance(applied, Refusal):
            return self._problem(applied)
        if applied is not None and await self._has_lost(applied):
            return self._problem(LeaseLapsed())
        verdict = await self._decide(question, asker)
        remaining = None
        if verdict.profile.limit is not None and verdict.valid:
            remaining = self._hot.verifier.remaining(verdict, now=self._look()[0])
        return HTTPStatus.OK, [(b"content-type", b"application/json")], body_of(verdict, remaining)

    async def _has_lost(self, applied: tuple[int, int, int]) -> bool:
        """F9, of whoever asks; from memory where that can tell."""
        epoch, rev, at = applied
        member = self._node.membership
        known = member.knows_lost((rev, at), epoch=epoch)
        if known is not None:
            return known
        return await to_thread.run_sync(partial(member.has_lost, (rev, at), epoch=epoch), limiter=self._places)

    async def _authz(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        headers = single_headers(scope["headers"])
        if isinstance(headers, Refusal):
            return self._problem(headers)
        if scope.get("query_string") and query_holds_secret(scope["query_string"]):
            return self._problem(KeyInQuery())
        asker = await self._gateway(scope, headers)
        if isinstance(asker, Refusal):
            return self._problem(asker)
        # Whoever may ask is believed: it could as well name the address in the body of `/v1/verify`.
        said = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        ip = told(said, self._hot.hops)
        question = read_gateway_question(headers, ip)
        if isinstance(question, Refusal):
            return self._problem(question)
        return authz_of(await self._decide(question, asker), self._hot.base_url)

    async def _asker(self, scope: Scope) -> Actor | Refusal | None:
        """Who asks; None for a trusted gateway, which needs no credential."""
        client = scope.get("client")
        if client and self._hot.gateways.admits(client[0]):
            return None
        known = credential.show(self._node, scope, address=client_address(scope, self._hot.proxies))
        if callable(known):
            known = await to_thread.run_sync(known, limiter=self._places)
        if isinstance(known, Refusal):
            return known
        return known.actor if _may_verify_any(known.actor) else PermissionMissing(needed=RIGHT_VERIFY)

    async def _gateway(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Actor | Refusal | None:
        """The same for `/v1/authz`, whose `Authorization` is the key under test."""
        shown = headers.get(b"x-keyturn-credential", b"")
        shown = shown if shown.lower().startswith(b"bearer ") else b"Bearer " + shown
        own = [(b"authorization", shown)] + [one for one in scope["headers"] if one[0] == b"x-forwarded-for"]
        return await self._asker({**scope, "headers": own})

    async def _decide(self, question: Question, asker: Actor | None) -> Verdict:
        if question.signed is not None:
            refused = self._hot.verifier.refuse_signed(question.signed, now=self._look()[0])
            if refused is not None:
                return refused
            verdict = self._recall_signed(question.signed, question, asker)
            decide = partial(self._decide_signed, question.signed, question, asker)
        elif not question.secret:
            return self._hot.verifier.malformed()
        else:
            verdict = self._recall(question, asker)[0]
            decide = partial(self._decide_plain, question, asker)
        if verdict is not MISS and verdict.code != ASK:
            return verdict
        # A customer's own secret is slow to try (R42): the others do not wait for it.
        places = None if question.label else self._places
        return await to_thread.run_sync(self._decide_slowly, verdict, decide, limiter=places)

    def _decide_slowly(self, verdict: Verdict, decide: Callable[[], Verdict]) -> Verdict:
        """Ask the store, and borrow a share of the key's limit, where that is what is wanting."""
        try:
            return self._hot.share(decide() if verdict is MISS else verdict, decide)
        except _OutOfReachError:
            return UNKNOWN_VERDICT
        except TooManyFailures as failures:
            self._hot.verifier.counts[RATE_LIMITED] += 1
            return wait_verdict(failures.wait)

    def _recall(self, question: Question, asker: Actor | None) -> tuple[Verdict, dict[str, Any], bool]:
        """What memory says, and what there is to ask the store with."""
        verifier = self._hot.verifier
        now, leased = self._look()
        asked = _asked(question, now)
        # Somebody else's key is as good as none (pitfall 18).  Seen before anything is decided: a stranger's question
        # must neither use up the key's limit nor count as its use.
        entry = verifier.held(question.secret)
        if entry is not None and not _reaches(asker, view(entry).account_id):
            return UNKNOWN_VERDICT, asked, leased
        return (verifier.verify_fingerprint(question.secret, **asked) if leased else MISS), asked, leased

    def _decide_plain(self, question: Question, asker: Actor | None) -> Verdict:
        verdict, asked, leased = self._recall(question, asker)
        if verdict is not MISS:
            return verdict
        find = self._hot.lookup_own(question.label, now=asked["now"]) if question.label else self._hot.lookup

        def lookup(fingerprint: bytes) -> Fill:
            fill = find(fingerprint)
            if fill.state is not None and not _reaches(asker, fill.state.account_id):
                raise _OutOfReachError
            return fill

        return self._hot.verifier.verify_cold(question.secret, lookup, leased=leased, **asked)

    def _recall_signed(self, signed: Signed, question: Question, asker: Actor | None) -> Verdict:
        now, leased = self._look()
        signer = self._hot.verifier.signer(signed.key_id) if leased else None
        return MISS if signer is None else self._check(signer, signed, question, asker, now)

    def _decide_signed(self, signed: Signed, question: Question, asker: Actor | None) -> Verdict:
        verdict = self._recall_signed(signed, question, asker)
        if verdict is not MISS:
            return verdict
        now = self._look()[0]
        signer = self._hot.verifier.read_signer(partial(self._hot.lookup_signer, signed.key_id))
        return UNKNOWN_VERDICT if signer is None else self._check(signer, signed, question, asker, now)

    def _check(self, signer: Signer, signed: Signed, question: Question, asker: Actor | None, now: int) -> Verdict:
        if not _reaches(asker, signer.account_id):
            return UNKNOWN_VERDICT
        matches = partial(ed25519.matches, signature=signed.signature, message=signed.base.encode())
        return self._hot.verifier.decide_signed(signer, signed, matches, **_asked(question, now))

    def _look(self) -> tuple[int, bool]:
        return self._hot.holder.look(self._hot.boot())


class _OutOfReachError(Exception):
    """The key is somebody else's."""


def _asked(question: Question, now: int) -> dict[str, Any]:
    return {"permissions": question.wanted, "ip": question.ip, "user_agent": question.user_agent, "now": now}


def _reaches(asker: Actor | None, account_id: str) -> bool:
    return asker is None or asker.may(RIGHT_VERIFY, account_id)


def _may_verify_any(asker: Actor) -> bool:
    """Whether the asker holds the right to verify at all, whichever account it names."""
    accounts = {one.partition("@")[2] or asker.account_id for one in asker.permissions}
    return any(asker.may(RIGHT_VERIFY, account_id) for account_id in accounts)


def is_authz(path: str) -> bool:
    """Whether a gateway asks here."""
    return path == AUTHZ or path.startswith(AUTHZ + "/")


def read_question(body: Any) -> Question | Refusal:  # noqa: ANN401  # any JSON
    """What `/v1/verify` was asked."""
    if not isinstance(body, dict):
        return InvalidField(field="body", reason="write an object")
    for name in body:
        if name not in _FIELDS:
            return UnknownField(field=field_name([name]))
    shown = _read_shown(body)
    if isinstance(shown, Refusal):
        return shown
    permissions, ip, context = (body.get(name) for name in ("permissions", "ip", "context"))
    if permissions is not None and not (
        isinstance(permissions, list) and all(isinstance(one, str) for one in permissions)
    ):
        return InvalidField(field="permissions", reason="write a list of texts")
    if context is not None and not isinstance(context, dict):
        return InvalidField(field="context", reason="write an object")
    if ip is not None and not isinstance(ip, str):
        return InvalidField(field="ip", reason="write a text")
    agent = (context or {}).get("user_agent", "")
    if not isinstance(agent, str):
        return InvalidField(field="context.user_agent", reason="write a text")
    try:
        wanted = wanted_permissions(permissions or ())
    except ValueError:
        return InvalidField(field="permissions", reason="write resource:action, such as orders:read")
    try:
        known = None if ip is None else address(ip)
    except ValueError:
        return InvalidField(field="ip", reason="not an IP address")
    return Question(wanted=wanted, ip=known, user_agent=agent[:_LONGEST_AGENT], **shown)


def read_applied(headers: Sequence[tuple[bytes, bytes]]) -> tuple[int, int, int] | Refusal | None:
    """How far a verifier is that asks without a lease: epoch, revision, and when that entry was written (F9)."""
    said = next((value for name, value in headers if name == APPLIED), None)
    if said is None:
        return None
    found = _APPLIED.fullmatch(said)
    return (int(found[1]), int(found[2]), int(found[3])) if found else InvalidHeader(header=APPLIED.decode())


def _read_shown(body: Mapping[str, Any]) -> dict[str, Any] | Refusal:
    """What is shown, in the words of `Question`: a key, its SHA-256, or a signed request."""
    given = [name for name in ("key", "key_sha256", "signed") if body.get(name) is not None]
    if len(given) != 1:
        return InvalidField(field="key", reason="write one of key, key_sha256 and signed")
    label = body.get("label")
    if label is not None and given != ["key_sha256"]:
        return InvalidField(field="label", reason="it goes with key_sha256")
    if given == ["signed"]:
        return _read_signed(body["signed"])
    if given == ["key"]:
        key = body["key"]
        if not isinstance(key, str):
            return InvalidField(field="key", reason="write a text")
        return {"secret": secret_of(key), "label": label_of(key)}
    digest = body["key_sha256"]
    if not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        return InvalidField(field="key_sha256", reason="write 64 hexadecimal digits")
    try:
        return {"secret": bytes.fromhex(digest), "label": check_own_label(label) if label is not None else ""}
    except (ValueError, TypeError):
        return InvalidField(field="label", reason="write the label of an own secret")


def _read_signed(given: Any) -> dict[str, Any] | Refusal:  # noqa: ANN401  # any JSON
    if not isinstance(given, dict):
        return InvalidField(field="signed", reason="write an object")
    for name in given:
        if name not in _SIGNED:
            return UnknownField(field=field_name(["signed", name]))
    for name in sorted(_SIGNED):
        if not isinstance(given.get(name), str):
            return InvalidField(field=f"signed.{name}", reason="write a text")
    # What cannot be a signature is `malformed`, as what cannot be a key is: it may be the caller's caller who wrote it.
    text = given["signature"]
    text = text[1:-1] if text.startswith(":") and text.endswith(":") else text  # as it stands in the header
    try:
        signature = b64decode(text, validate=True)
    except (Error, ValueError):
        signature = b""
    return {"secret": b"", "signed": Signed(given["key_id"], given["base"], signature)}


def single_headers(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes] | Refusal:
    """The headers that may stand once."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE and name in found:
            return DuplicateHeader(header=name.decode())
        found[name] = value
    return found


def read_gateway_question(headers: Mapping[bytes, bytes], ip: str | None) -> Question | Refusal:
    """What `/v1/authz` was asked."""
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    bearer = bearer.strip() if scheme.lower() == b"bearer" else b""
    api_key = headers.get(b"x-api-key", b"").strip()
    if bearer and api_key and bearer != api_key:
        return DuplicateHeader(header="x-api-key")
    texts = headers.get(b"x-keyturn-permission", b"").decode("latin-1").replace(",", " ").split()
    if not texts and b"x-keyturn-permission" in headers:
        # A gateway that has lost its setting must not let everything through.
        return InvalidHeader(header="x-keyturn-permission")
    try:
        wanted = wanted_permissions(texts)
    except ValueError:
        return InvalidHeader(header="x-keyturn-permission")
    agent = headers.get(b"user-agent", b"").decode("latin-1")[:_LONGEST_AGENT]
    presented = (bearer or api_key).decode("latin-1")
    label = label_of(presented)
    return Question(secret=secret_of(presented), wanted=wanted, ip=ip, user_agent=agent, label=label)
