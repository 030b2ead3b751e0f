"""The quick way to verify over HTTP: a plain, warm request is answered before any ASGI scope is built.

Sound because it is so narrow.  A request is answered here only if it arrived whole, at a message boundary, with
nothing before it still unanswered (`hot_protocol.py`), and if it is of one canonical form that no two parsers read
differently (`plain_request.py`).  Everything else goes on untouched to httptools and the careful way (`verifying.py`),
which would have given the same answer.
"""

from hashlib import sha256
from typing import Final

from keyturn.api.plain_request import Head, PlainRequest, canonical_address, read_plain
from keyturn.api.verdict import AUTHZ, VERIFIES, Hot, Remembered, authz_of, body_of, may_verify_all
from keyturn.core.client_address import behind, told
from keyturn.verify.decision import ASK, MISS, RATE_LIMITED, VALID, Verdict

ALWAYS: Final = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
_JSON: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + ALWAYS
_PHRASES: Final = {200: b"OK", 401: b"Unauthorized", 403: b"Forbidden", 429: b"Too Many Requests"}
_requests = Remembered()


def answer(hot: Hot, data: bytes, *, trusted: bool, peer: str) -> tuple[bytes, bytes, int] | None:
    """The answer, in two parts between which the date goes, to the request that `data` begins with, and its length.

    None to hand it on.
    """
    mark = sha256(data).digest()
    request: PlainRequest | None = _requests.get(mark)
    if request is None:
        request = read_plain(data)
        if request is None:
            return None
        if request.length == len(data):
            _requests.put(mark, request)
    head, verifier, holder = request.head, hot.verifier, hot.holder
    # The time is read before the lease, and that before the entry (F3).
    boot = hot.boot()
    if boot >= holder.deadline:
        return None
    now = boot + holder.ahead
    # Whether the store has to be asked is seen before anything is decided:
    # who hands on has used nothing up.
    entry = verifier.held(request.secret)
    if entry is None and not request.malformed and not verifier.knows(request.secret, now=now):
        return None
    asker = None if trusted else _asker(hot, head, peer, now)
    if not trusted and asker is None:
        return None
    question = head.question
    if entry is None:
        verdict = verifier.malformed() if request.malformed else verifier.verify_fingerprint(request.secret, now=now)
    elif question is None:
        verdict = verifier.decide(entry, request.wanted, request.ip, "", now)
    else:
        ip = told(head.forwarded, hot.hops) if head.forwarded else None
        verdict = verifier.decide(entry, question.wanted, ip, question.user_agent, now)
    if verdict is MISS or verdict[0] == ASK:
        if asker is not None:
            verifier.undo(asker, VERIFIES, _asker_ip(hot, head, peer), "")
        return None
    written = _write_verdict(hot, verdict, now) if question is None else _write_authz(hot, verdict)
    return (*written, request.length)


def _asker(hot: Hot, head: Head, peer: str, now: int) -> Verdict | None:
    """The verdict on the credential, where it is accepted and serves every account."""
    entry = hot.verifier.held(head.credential)
    if entry is None or not may_verify_all(hot, entry):
        return None
    # Asked anew each time: a credential that was stopped meanwhile is refused.
    verdict = hot.verifier.decide(entry, VERIFIES, _asker_ip(hot, head, peer), "", now)
    return verdict if verdict[0] == VALID else None


def _asker_ip(hot: Hot, head: Head, peer: str) -> str | None:
    return behind(peer, head.forwarded, hot.proxies) if head.forwarded else canonical_address(peer)


def _write_verdict(hot: Hot, verdict: Verdict, now: int) -> tuple[bytes, bytes]:
    code, entry, profile, _ = verdict
    if code == RATE_LIMITED:
        return with_length(_JSON, body_of(verdict, None))
    written: tuple[bytes, bytes] | None = hot.written.get((code, entry, profile))
    if written is None:
        body = body_of(verdict, None)
        limited = code == VALID and profile.limit is not None
        written = (b"", body[:-1]) if limited else with_length(_JSON, body)
        hot.written.put((code, entry, profile), written)
    if written[0]:
        return written
    # `remaining` stands last in the body, so only the end has to be written each time.
    last = b',"remaining":%d}' % hot.verifier.remaining(verdict, now=now)
    start = written[1]
    return _JSON, b"content-length: %d\r\n\r\n%s%s" % (len(start) + len(last), start, last)


def _write_authz(hot: Hot, verdict: Verdict) -> tuple[bytes, bytes]:
    code, entry, profile, _ = verdict
    limited = code == RATE_LIMITED
    written: tuple[bytes, bytes] | None = None if limited else hot.written.get((AUTHZ, code, entry, profile))
    if written is None:
        status, headers, body = authz_of(verdict, hot.base_url)
        written = with_length(b"HTTP/1.1 %d %s\r\n" % (status, _PHRASES[status]) + header_lines(headers) + ALWAYS, body)
        if not limited:
            hot.written.put((AUTHZ, code, entry, profile), written)
    return written


def with_length(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """An answer in the two parts between which the date goes."""
    return head, b"content-length: %d\r\n\r\n%s" % (len(body), body)


def header_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """As they are written, each with its end."""
    return b"".join(b"%s: %s\r\n" % one for one in headers)
