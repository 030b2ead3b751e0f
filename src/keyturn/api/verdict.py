"""`/v1/verify` and `/v1/authz`: what is asked, and the answer to it, as bytes (api.md, R52).

One reading and one writing for the quick way (`hot.py`) and the careful one (`verifying.py`).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from keyturn.core import permission
from keyturn.core.allowlist import Matcher, parse_address
from keyturn.core.instant import FOREVER, from_micros, to_micros, to_text
from keyturn.core.own_secret import is_presentable
from keyturn.core.permission import RIGHT_VERIFY
from keyturn.core.secret import fingerprint
from keyturn.verify.decision import RATE_LIMITED, REPLACED, STATUS_OF, VALID, Verdict
from keyturn.verify.entry import EntryView, view
from keyturn.verify.holder import Holder
from keyturn.verify.memory import Fill
from keyturn.verify.signed import Signed
from keyturn.verify.verifier import Verifier

VERIFY: Final = "/v1/verify"
AUTHZ: Final = "/v1/authz"
_FOREVER: Final = to_micros(FOREVER)
_MOST_REMEMBERED: Final = 16_384
MOST_WANTED: Final = 50


class Remembered:
    """Answers worth keeping: bounded, emptied when full."""

    def __init__(self) -> None:
        self._kept: dict[Any, Any] = {}
        self.get = self._kept.get

    def put(self, key: object, value: object) -> None:
        """Keep one."""
        if len(self._kept) >= _MOST_REMEMBERED:
            self._kept.clear()
        self._kept[key] = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Hot:
    """What verifying over HTTP needs of the node."""

    verifier: Verifier
    holder: Holder
    boot: Callable[[], int]
    """Microseconds of the boot-time clock, to look at the lease with."""
    lookup: Callable[[bytes], Fill]
    lookup_own: Callable[..., Callable[[bytes], Fill]]
    """By the label and `now`: the same for a customer's own secret."""
    lookup_signer: Callable[[str], Fill]
    share: Callable[[Verdict, Callable[[], Verdict]], Verdict]
    """The verdict where it is one, else what it is again with a share of the key's limit.  It may have to wait."""
    deployment_account_id: str
    proxies: Matcher
    gateways: Matcher
    hops: Matcher
    """Proxies and gateways together: whose word on the client's address is taken for a gateway's question."""
    base_url: str
    written: Remembered = field(default_factory=Remembered)
    """Answers by what they were decided on: the same entry and code are written the same."""
    serves_all: Remembered = field(default_factory=Remembered)
    """By a credential's entry whether it serves every account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be verified, for whom."""

    secret: bytes
    """Its fingerprint; empty for what cannot be a key."""
    wanted: tuple[str, ...]
    ip: str | None
    user_agent: str = ""
    label: str = ""
    """Of a customer's own secret (R42)."""
    signed: Signed | None = None
    """A signed request in the place of a secret (R42)."""


def wanted_permissions(texts: Iterable[str]) -> tuple[str, ...]:
    """Canonical permissions.  Raises ValueError with a sentence for a person."""
    wanted = permission.parse_set(texts)
    if len(wanted) > MOST_WANTED:
        msg = f"more than {MOST_WANTED} permissions"
        raise ValueError(msg)
    return wanted


def address(text: str) -> str:
    """The canonical form of an address.  Raises ValueError for what is none."""
    return str(parse_address(text))


def secret_of(presented: str) -> bytes:
    """Its fingerprint, or nothing for what cannot be a key."""
    return fingerprint(presented) if is_presentable(presented) else b""


def may_verify_all(hot: Hot, entry: bytes) -> bool:
    """Whether this credential, if it is accepted, serves every account: it is the operator's own (ADR 6)."""
    known: bool | None = hot.serves_all.get(entry)
    if known is None:
        known = view(entry).account_id == hot.deployment_account_id
        hot.serves_all.put(entry, known)
    return known


VERIFIES: Final = (RIGHT_VERIFY,)


def body_of(verdict: Verdict, remaining: int | None) -> bytes:
    """The JSON answer of `/v1/verify`.  Names are in it only for a key that was presented whole (R52)."""
    shown: dict[str, Any] = {
        "valid": verdict.code == VALID,
        "code": verdict.code,
        "key_id": None,
        "account_id": None,
        "owner_id": None,
        "environment": None,
        "permissions": [],
        "version": None,
        "expires_at": None,
    }
    seen = verdict.view
    if seen is not None:
        shown |= _names(seen, verdict)
    if verdict.code == RATE_LIMITED:
        shown["retry_after"] = max(1, verdict.retry_after)
    if remaining is not None:
        shown["remaining"] = remaining
    return json.dumps(shown, separators=(",", ":")).encode()


def _names(seen: EntryView, verdict: Verdict) -> dict[str, Any]:
    names: dict[str, Any] = {
        "key_id": seen.key_id,
        "account_id": seen.account_id,
        "owner_id": seen.owner_id,
        "environment": seen.environment,
        "permissions": list(verdict.profile.permissions),
        "version": seen.version,
        "expires_at": None if seen.expires >= _FOREVER else to_text(from_micros(seen.expires)),
    }
    if verdict.code == REPLACED:
        names |= {"replaced_at": to_text(from_micros(seen.stops)), "reset_id": seen.replaced_by}
    return names


def authz_of(verdict: Verdict, base_url: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of `/v1/authz`."""
    status = STATUS_OF[verdict.code]
    headers = [(b"x-keyturn-code", verdict.code.encode())]
    seen = verdict.view
    if verdict.code == VALID and seen is not None:
        headers += [
            (b"x-keyturn-key-id", seen.key_id.encode()),
            (b"x-keyturn-account-id", seen.account_id.encode()),
            (b"x-keyturn-permissions", " ".join(verdict.profile.permissions).encode()),
        ]
        return status, headers, b""
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="api"'))
    if verdict.code == RATE_LIMITED:
        headers.append((b"retry-after", str(max(1, verdict.retry_after)).encode()))
    said = "The key was not accepted."
    document = {"type": f"{base_url}/problems/{verdict.code}", "title": said, "status": status}
    headers.append((b"content-type", b"application/problem+json"))
    return status, headers, json.dumps(document | {"detail": said, "code": verdict.code}).encode()
