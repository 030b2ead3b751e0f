"""Webhooks: what happens to an account, told to a program in the form of Standard Webhooks (R50, pitfall 25).

The signing secret is worked out from the pepper and the webhook's id and version: it is shown when it is made, and
stored nowhere.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from hmac import digest as hmac_digest
from typing import Final

from keyturn.core.delivery import Attempt, Result
from keyturn.core.instant import Instant, later, to_text
from keyturn.core.notice import TEST_KIND, Notice
from keyturn.core.outward import is_loopback, is_public
from keyturn.core.secret import SecretText

BOTH_SIGN_FOR: Final = timedelta(days=1)
"""How long the secrets before a rotation still sign as well."""
FAILS_FOR: Final = timedelta(days=5)
"""After so long without one success a webhook is suspended."""
MOST_SIGNING: Final = 4
"""However often it is rotated, no message has more signatures."""
MOST_PER_ACCOUNT: Final = 20
MOST_EVENTS: Final = 50
LONGEST_URL: Final = 1000
ALL_EVENTS: Final = "*"
GONE: Final = "410"
"""What a receiver answers that wants no more of it."""
_EVENT: Final = re.compile(r"\*|[a-z_]{1,31}\.(?:\*|[a-z_]{1,31})", re.ASCII)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_URL: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>(?:{_LABEL}\.)*{_LABEL}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>/[!-~]*)?",
    re.ASCII,
)
_HEX: Final = re.compile(r"0x[0-9a-f]*", re.ASCII)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One address that is told of what happens."""

    id: str
    account_id: str
    url: str
    events: tuple[str, ...]
    """Kinds such as `reset.minted`, all of a noun as `reset.*`, or `*`."""
    every_account: bool = False
    """The operator's own: told of what happens in any account."""
    made_at: Instant
    version: int = 1
    """Of its signing secret."""
    signs_from: int = 1
    """The oldest version that still signs for a while after a rotation."""
    rotated_at: Instant | None = None
    failing_since: Instant | None = None
    suspended_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a call goes; read from the address once, here, so that no two readers of it can differ."""

    scheme: str
    host: str
    """A name, or an address without brackets."""
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(text: str, *, to_loopback: bool) -> Target:
    """Read an address.  Raises ValueError with a sentence for a person.

    `to_loopback` lets it be this machine, over plain HTTP too: for trying things out.
    """
    found = _URL.fullmatch(text)
    if found is None or len(text) > LONGEST_URL or "#" in text:
        msg = "not an address of a webhook; write https://hooks.example.com/keyturn"
        raise ValueError(msg)
    scheme, host = found["scheme"], found["host"].strip("[]")
    port = int(found["port"] or _DEFAULT_PORTS[scheme])
    target = Target(scheme=scheme, host=host, port=port, path=found["path"] or "/")
    _check_host(target, to_loopback=to_loopback)
    if not 0 < port < 65_536:
        msg = f"there is no port {port}"
        raise ValueError(msg)
    return target


def _check_host(target: Target, *, to_loopback: bool) -> None:
    if to_loopback and (target.host == "localhost" or _is(is_loopback, target.host)):
        return
    if target.scheme != "https":
        msg = "a webhook is called over https"
        raise ValueError(msg)
    last = target.host.rpartition(".")[2]
    if ":" in target.host or last.isdigit() or _HEX.fullmatch(last):
        # Digits in any notation but the plain one are somebody's trick: `127.1`, `0x7f.1`, `2130706433`.
        if not _is(is_public, target.host):
            msg = f"{target.host} is not a public address"
            raise ValueError(msg)
    elif "." not in target.host:
        msg = f"{target.host} is the name of a machine nearby, not of one that all can reach"
        raise ValueError(msg)


def _is(what: Callable[[str], bool], host: str) -> bool:
    try:
        return what(host)
    except ValueError:
        return False


def may_reach(target: Target, address: str, *, to_loopback: bool) -> bool:
    """Whether the call may connect to that address, which the name led to just now (pitfall 25)."""
    if to_loopback and is_loopback(address):
        return True
    return target.scheme == "https" and is_public(address)


def parse_events(texts: list[str]) -> tuple[str, ...]:
    """Which events, each once.  Raises ValueError with a sentence for a person."""
    if not 0 < len(texts) <= MOST_EVENTS:
        msg = f"1 to {MOST_EVENTS} kinds of events"
        raise ValueError(msg)
    for text in texts:
        if not _EVENT.fullmatch(text):
            msg = f'not a kind of events: {text[:40]!r}; write "reset.minted", "reset.*" or "*"'
            raise ValueError(msg)
    return tuple(dict.fromkeys(texts))


def wants(webhook: Webhook, kind: str) -> bool:
    """Whether that webhook is told of this."""
    noun = kind.partition(".")[0]
    return kind == TEST_KIND or any(one in (ALL_EVENTS, kind, f"{noun}.*") for one in webhook.events)


def after(webhook: Webhook, attempt: Attempt, *, now: Instant) -> Webhook:
    """What becomes of a webhook by one more attempt: suspended where it has failed for too long, or wants no more."""
    if attempt.result is Result.TAKEN:
        return replace(webhook, failing_since=None)
    since = webhook.failing_since or now
    ends = attempt.said == GONE or now >= later(since, FAILS_FOR)
    return replace(webhook, failing_since=since, suspended_at=now if ends else webhook.suspended_at)


def rotated(webhook: Webhook, *, now: Instant) -> Webhook:
    """The same with a new secret; those before it sign on for a day, so that a lost answer locks nobody out."""
    oldest = max(_oldest(webhook, now), webhook.version - MOST_SIGNING + 2)
    return replace(webhook, version=webhook.version + 1, signs_from=oldest, rotated_at=now)


def signing_names(webhook: Webhook, now: Instant) -> tuple[str, ...]:
    """What the secrets that sign now are derived from, the newest first."""
    return tuple(f"{webhook.id} {version}" for version in range(webhook.version, _oldest(webhook, now) - 1, -1))


def _oldest(webhook: Webhook, now: Instant) -> int:
    if webhook.rotated_at is None or now >= later(webhook.rotated_at, BOTH_SIGN_FOR):
        return webhook.version
    return webhook.signs_from


def secret_text(raw: bytes) -> SecretText:
    """A signing secret as its receiver enters it."""
    return SecretText("whsec_" + b64encode(raw).decode())


def secret_bytes(secret: SecretText) -> bytes:
    """What signs, read back from the text."""
    return b64decode(secret.reveal.removeprefix("whsec_"))


def payload(notice: Notice, *, at: Instant) -> bytes:
    """The body: what happened, without any secret; the same bytes every time."""
    data = {
        "account_id": notice.account_id,
        "owner_id": notice.owner_id or None,
        "key_id": notice.key_id or None,
        "actor_id": notice.actor_id or None,
        "address": notice.address or None,
        "detail": dict(notice.detail),
    }
    document = {"type": notice.kind, "timestamp": to_text(at), "data": data}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def signature(secrets: tuple[bytes, ...], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`, one entry for each secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join("v1," + b64encode(hmac_digest(one, signed, "sha256")).decode() for one in secrets)
