"""A portal: an operator lets a user of their own at the pages of that user's keys, without a sign-in here (K1 to K3).

The operator's credential names the person and says what it has seen them show.
An API key never proves for a person; here it vouches for one, and every record says so.
The link opens once, within minutes, and does nothing until something is posted (R51).
What rests on a credential's word falls with it (R25).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from keyturn.core.account import RIGHTS, Role
from keyturn.core.instant import Instant, later, to_text
from keyturn.core.key import Key, StopReason
from keyturn.core.permission import RIGHT_KEYS_READ, RIGHT_KEYS_RESET, RIGHT_KEYS_WRITE, is_right
from keyturn.core.proof import CAPTCHA, EMAIL_LINK, PASSKEY, PASSWORD, TOTP
from keyturn.core.refusal import InvalidField, LinkSpent, NotFound, Refusal
from keyturn.core.session import Session, SessionKind, Visitor, shown_text

OPENS_WITHIN: Final = timedelta(minutes=5)
LONGEST: Final = timedelta(minutes=30)
"""How long the session may last, however busy it is."""
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""How far ahead of ours the operator's clock may be."""
MAY_BE_VOUCHED: Final = (PASSWORD, TOTP, PASSKEY, CAPTCHA, EMAIL_LINK)
LONGEST_ADDRESS: Final = 2000
_ITS_RIGHTS: Final = frozenset({RIGHT_KEYS_READ, RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET})
_USUAL_PORTS: Final = {"https": 443, "http": 80}
_LARGEST_PORT: Final = 65535
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[0-9a-z](?:[0-9a-z.-]{0,251}[0-9a-z])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:[/?#][!#-&(-+\--:=?-\[\]_a-z~]*)?)",
    re.ASCII | re.IGNORECASE,
)
"""Without user or password, and without what would end a header's value or an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """One link to the pages of one person's keys.  Its token is stored as a digest only."""

    id: str
    account_id: str
    user_id: str
    by: str
    """The operator's credential."""
    by_version: int
    """The version of its secret that was shown."""
    made_at: Instant
    ends_at: Instant
    """Until when it may be opened."""
    vouched: Mapping[str, str] = field(default_factory=dict)
    """The kinds of proof that the operator has seen, each with its time."""
    embed_origin: str = ""
    """The one origin whose pages may frame it; empty for none."""
    return_url: str = ""
    """Where its pages lead back to."""
    opened_at: Instant | None = None
    session: str = ""
    """What it became."""


def read_vouched(said: Sequence[tuple[str, Instant]], *, now: Instant) -> Mapping[str, str] | InvalidField:
    """What the operator says they have seen, as it is kept: nothing counts as later than now."""
    kept: dict[str, str] = {}
    for kind, at in said:
        if kind not in MAY_BE_VOUCHED:
            return InvalidField(field="proofs", reason=f"nobody can vouch for {kind[:40]!r}")
        if kind in kept:
            return InvalidField(field="proofs", reason=f"{kind} is there twice")
        if at > now + CLOCKS_DIFFER:
            return InvalidField(field="proofs", reason="lies in the future")
        kept[kind] = to_text(min(at, now))
    return kept


def read_origin(text: str) -> str:
    """An origin as browsers write it: `https://app.example.com`.  Raises ValueError with a sentence for a person."""
    origin, rest = _parse(text)
    if rest:
        msg = "an origin such as https://app.example.com, without a path"
        raise ValueError(msg)
    return origin


def origin_of(address: str) -> str:
    """Whose page that address is.  Raises ValueError with a sentence for a person."""
    return _parse(address)[0]


def _parse(address: str) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(address) if len(address) <= LONGEST_ADDRESS else None
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port <= _LARGEST_PORT):
        msg = "an address such as https://app.example.com/keys"
        raise ValueError(msg)
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if scheme == "http" and not _is_this_machine(host):
        msg = "others can read and change plain http on its way; use https"
        raise ValueError(msg)
    return f"{scheme}://{host}" + ("" if port in (None, _USUAL_PORTS[scheme]) else f":{port}"), found["rest"]


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "[::1]") or host.endswith(".localhost")


def its_rights(role: Role) -> tuple[str, ...]:
    """What a person may do through a portal: with keys what their role lets them, with the account nothing."""
    return tuple(one for one in RIGHTS[role] if one in _ITS_RIGHTS or not is_right(one))


def may_open(portal: Portal | None, credential: Key | None, *, framed_by: str, now: Instant) -> Refusal | None:
    """Why it may not be opened now, or None.  `framed_by` is the origin whose page embeds it, or empty."""
    if portal is None or (framed_by and framed_by != portal.embed_origin):
        return NotFound()
    if portal.opened_at is not None or now >= portal.ends_at or not still_vouched(portal, credential, now=now):
        return LinkSpent()
    return None


def still_vouched(portal: Portal, credential: Key | None, *, now: Instant) -> bool:
    """Whether the credential's word still counts: it is neither stopped, nor was it in other hands when it spoke."""
    if credential is None or credential.suspension is not None or credential.has_ended(now):
        return False
    shown = credential.secret(portal.by_version)
    return shown is not None and shown.stop_reason is not StopReason.LEAKED


def opened(
    portal: Portal, session_id: str, *, role: Role, visitor: Visitor, idle: timedelta, now: Instant
) -> tuple[Portal, Session]:
    """The portal once it is open, and the session that it has become: short, and confined to the person's own keys."""
    ends_at = later(now, LONGEST)
    session = Session(
        id=session_id,
        user_id=portal.user_id,
        account_id=portal.account_id,
        role=role,
        started_at=now,
        seen_at=now,
        ends_at=ends_at,
        idle_ends_at=min(ends_at, later(now, idle)),
        kind=SessionKind.PORTAL,
        how=(SessionKind.PORTAL.value,),
        address=visitor.address,
        user_agent=shown_text(visitor.user_agent),
        vouched=portal.vouched,
    )
    return replace(portal, opened_at=now, session=session_id), session
