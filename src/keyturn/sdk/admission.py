"""Whether a request may reach the application: what every middleware decides, written once.

The key is read from `Authorization: Bearer` or `X-API-Key`, never from a query; two that differ are refused.  The
client's address is believed through listed proxies only (K9, pitfall 12).  Where it is not known whether a key is
accepted, nothing is let through.  Standard library only.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from keyturn.core import allowlist
from keyturn.core.allowlist import Matcher
from keyturn.core.client_address import behind, told
from keyturn.core.own_secret import is_presentable
from keyturn.core.refusal import (
    DuplicateHeader,
    InvalidHeader,
    KeyInQuery,
    LeaseLapsed,
    PermissionMissing,
    Refusal,
    Unauthenticated,
)
from keyturn.sdk.needs import Access, Needs, finder
from keyturn.sdk.readings import Otherwise
from keyturn.sdk.readings import wanted as needed
from keyturn.sdk.verifier import LeaseLapsed as Lapsed
from keyturn.sdk.verifier import NodeUnavailable, NotAllowed, Verifier
from keyturn.verify.decision import RATE_LIMITED, STATUS_OF, Verdict
from keyturn.verify.usage import LONGEST_AGENT

MEDIA_TYPE: Final = "application/problem+json"
UNIX: Final = "unix"
"""Among the proxies: whoever comes through a Unix socket, and so without an address, is one."""
_RESERVED: Final = "x-keyturn-"
_AWAY_SECONDS: Final = 2
_MOST_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 200
_NOT_ACCEPTED: Final = "The key was not accepted."
log = logging.getLogger("keyturn.sdk")


class Request(NamedTuple):
    """What a middleware has seen of a request."""

    method: str
    path: str
    query: str
    peer: str
    """The address that the connection came from; empty where there is none."""
    authorization: Sequence[str]
    """Every such header, as the next two, in their order."""
    api_key: Sequence[str]
    forwarded: Sequence[bytes]
    user_agent: str
    otherwise: Otherwise | None = None
    """How else an application may read it."""
    told_by: str = ""
    """A header that the path was made of, so that the client could choose between two."""
    has_trailers: bool = False
    """It may have some, which some servers add to the headers, behind those of the last proxy."""


class Question(NamedTuple):
    """What the verifier is to be asked."""

    presented: str
    wanted: tuple[str, ...]
    ip: str | None
    user_agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedKey:
    """The key that a request has shown.

    `permissions` is what the key may do at this moment: after a reset a new secret may wait with all but reading (R24).
    What a request needs is said beforehand, in `needs`.
    """

    key_id: str
    """Stays the same over a reset."""
    account_id: str
    owner_id: str
    environment: str
    permissions: tuple[str, ...]


class Problem(NamedTuple):
    """The answer to a request that does not reach the application (RFC 9457)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    code: str

    @property
    def line(self) -> str:
        """Status and phrase, as WSGI wants them."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


Answer = AcceptedKey | Access | Problem
"""The key; that none is asked for; or why the request goes no further."""


class Admission:
    """Decides about requests with a verifier, which several of them may share."""

    def __init__(
        self, verifier: Verifier, *, needs: Needs, proxies: Iterable[str] = (), realm: str = "api", problems: str = ""
    ) -> None:
        """Decide by `needs`, and believe `proxies`: networks, or `unix`.

        `problems`: the address of the problems' pages, such as `https://keys.example.com/problems`.
        Raises ValueError for a need or a network that is none.
        """
        listed = set(proxies)
        self._verifier = verifier
        self._needs = finder(needs)
        self._believes = bool(listed)
        self._unix = UNIX in listed
        self._proxies = Matcher(allowlist.parse_set(sorted(listed - {UNIX})))
        self._addresses: dict[tuple[object, ...], str | None] = {}
        self._challenge = f'Bearer realm="{_quotable(realm)}"'
        self._problems = problems.rstrip("/")

    def admit(self, request: Request) -> Answer:
        """Decide, asking a node where memory cannot answer."""
        question = self.read(request)
        return self.ask(question) if isinstance(question, Question) else question

    def read(self, request: Request) -> Question | Access | Problem:
        """What is to be asked; or the answer, where that is settled without a verifier."""
        if request.told_by:
            return self._refuse(InvalidHeader(header=request.told_by))
        wanted = needed(self._needs, request.method, request.path, request.otherwise)
        return wanted if isinstance(wanted, Access) else self.read_for(wanted, request)

    def read_for(self, wanted: tuple[str, ...] | None, request: Request) -> Question | Problem:
        """The same for a request whose need is known."""
        if request.query and _holds_secret(request.query):
            return self._refuse(KeyInQuery())
        presented = _presented(request)
        if isinstance(presented, Refusal):
            return self._refuse(presented)
        if wanted is None:
            return self._refuse(PermissionMissing(needed=""))
        if request.has_trailers and len(request.forwarded) > 1 and self._believes:
            return self._refuse(DuplicateHeader(header="x-forwarded-for"))
        return Question(presented, wanted, self._address(request), request.user_agent[:LONGEST_AGENT])

    def recall(self, question: Question, *, again: bool = False) -> AcceptedKey | Problem | None:
        """The answer as far as memory has it, at once; None where a node has to be asked, which takes time.

        `again`: of somebody who was let in before and is still there; that counts as a use, but against no limit.
        """
        presented, wanted, ip, agent = question
        try:
            verdict = self._verifier.verify_warm(presented, permission=wanted, ip=ip, user_agent=agent, again=again)
        except Lapsed:
            return self.away()
        return None if verdict is None else self._answer(verdict)

    def ask(self, question: Question) -> AcceptedKey | Problem:
        """The answer, however long it takes."""
        presented, wanted, ip, agent = question
        try:
            return self._answer(self._verifier.verify(presented, permission=wanted, ip=ip, user_agent=agent))
        except (Lapsed, NodeUnavailable, NotAllowed) as error:
            log.info("a request was refused, since nothing is known of its key: %s", error)
            return self.away()

    def away(self) -> Problem:
        """503: nobody says that the key is accepted, and nobody says that it is not."""
        return self._refuse(LeaseLapsed(), ("retry-after", str(_AWAY_SECONDS)))

    def _answer(self, verdict: Verdict) -> AcceptedKey | Problem:
        seen = verdict.view
        if verdict.valid and seen is not None:
            return AcceptedKey(
                key_id=seen.key_id,
                account_id=seen.account_id,
                owner_id=seen.owner_id,
                environment=seen.environment,
                permissions=verdict.profile.permissions,
            )
        wait = (("retry-after", str(max(1, verdict.retry_after))),) if verdict.code == RATE_LIMITED else ()
        return self._problem(STATUS_OF[verdict.code], verdict.code, _NOT_ACCEPTED, *wait)

    def _refuse(self, refusal: Refusal, *headers: tuple[str, str]) -> Problem:
        return self._problem(refusal.status, refusal.kind, refusal.title, *headers)

    def _problem(self, status: int, code: str, said: str, *more: tuple[str, str]) -> Problem:
        document = {"type": f"{self._problems}/{code}"} if self._problems else {}
        body = json.dumps({**document, "title": said, "status": status, "detail": said, "code": code}).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), *more]
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append(("www-authenticate", self._challenge))
        return Problem(status, tuple(headers), body, code)

    def _address(self, request: Request) -> str | None:
        said = request.peer, *request.forwarded
        known = self._addresses.get(said, ...)
        if known is not ...:
            return known
        if self._unix and not request.peer:
            address = told(request.forwarded, self._proxies)
        else:
            address = behind(request.peer, request.forwarded, self._proxies)
        if sum(map(len, said)) <= _LONGEST_REMEMBERED:
            if len(self._addresses) >= _MOST_REMEMBERED:
                self._addresses = {}
            self._addresses[said] = address
        return address


def is_reserved(header: str) -> bool:
    """Whether only keyturn may say this: `X-Keyturn-…`, also as `X_Keyturn_…`, which some servers take for the same."""
    return header.lower().replace("_", "-").startswith(_RESERVED)


def _presented(request: Request) -> str | Refusal:
    """The one secret that the request shows."""
    if len(request.authorization) > 1:
        return DuplicateHeader(header="authorization")
    if len(request.api_key) > 1:
        return DuplicateHeader(header="x-api-key")
    scheme, _, rest = "".join(request.authorization).partition(" ")
    bearer = rest.strip() if scheme.lower() == "bearer" else ""
    api_key = "".join(request.api_key).strip()
    if bearer and api_key and bearer != api_key:
        return DuplicateHeader(header="x-api-key")
    return bearer or api_key or Unauthenticated()


def _holds_secret(query: str) -> bool:
    """Whether a key stands in the query, under whatever name, also encoded twice."""
    if "_" not in query and "%" not in query:
        return False  # each key has an underscore, and most queries have none
    pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return any(is_presentable(unquote(one).strip()) for pair in pairs for one in pair)


def _quotable(realm: str) -> str:
    if not (realm.isascii() and realm.isprintable()) or {'"', "\\"} & set(realm):
        raise ValueError("a realm is plain text without quotation marks")
    return realm
