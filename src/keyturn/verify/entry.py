"""One cached secret as one bytes object: what a decision needs of it, and the names its answer carries.

A million tuples or objects stop the world for 0.2 s at each full garbage collection; bytes are never looked at.
What many keys share (permissions, allowlist, limit) stands apart in a `Profile`, which the entry names by number.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from keyturn.core import permission
from keyturn.core.allowlist import Matcher
from keyturn.core.feed import KeyState, SecretState
from keyturn.core.instant import to_micros
from keyturn.core.limit import Limit

SUSPENDED: Final = 1
REVOKED: Final = 2
STOPPED: Final = 4
WATCHED: Final = 8
SIGNS: Final = 16
"""Its requests are signed: what is stored of it is public, and no presented text is ever accepted for it (R42)."""

# starts, dangerous_starts, stops, expires (microseconds), key number, profile number, version, flags
HEADER: Final = struct.Struct("<qqqqqqIB")
Header = tuple[int, int, int, int, int, int, int, int]
_SEPARATOR: Final = "\n"  # stands in no id: those are printable ASCII

MOST_ANSWERS: Final = 1024
"""Addresses, and sets of permissions, that one profile remembers its answer for."""


class Profile:
    """What keys with the same permissions, allowlist and limit share, with the answers they gave already.

    The memos only hold what would be worked out again, so threads may race on them.
    """

    __slots__ = (
        "_addresses",
        "_matcher",
        "_reading",
        "_wanted",
        "allowlist",
        "interval",
        "limit",
        "permissions",
        "uses",
        "window",
    )

    def __init__(self, permissions: tuple[str, ...], allowlist: tuple[str, ...], limit: Limit | None) -> None:
        self.permissions = permissions
        self.allowlist = allowlist
        self.limit = limit
        self.interval = limit.interval_micros if limit else 0
        self.window = limit.window_micros if limit else 0
        self.uses = 0  # cached entries that name this profile
        self._matcher: Matcher | None = None
        self._reading: Profile | None = None
        self._addresses: dict[str, bool] = {}
        self._wanted: dict[tuple[str, ...], bool] = {}

    @property
    def reading(self) -> "Profile":
        """The same for a key that may only read so far (R24)."""
        if self._reading is None:
            permissions = permission.reading(self.permissions)
            self._reading = (
                self if permissions == self.permissions else Profile(permissions, self.allowlist, self.limit)
            )
        return self._reading

    def grants(self, wanted: tuple[str, ...]) -> bool:
        """Whether the permissions include all of `wanted`."""
        answer = self._wanted.get(wanted)
        if answer is None:
            answer = permission.covers(self.permissions, wanted)
            if len(self._wanted) >= MOST_ANSWERS:
                self._wanted = {}
            self._wanted[wanted] = answer
        return answer

    def admits(self, ip: str | None) -> bool:
        """Whether the allowlist admits the address.  An unknown one, None, only passes where there is no allowlist."""
        if not self.allowlist:
            return True
        if ip is None:
            return False
        answer = self._addresses.get(ip)
        if answer is None:
            if self._matcher is None:
                self._matcher = Matcher(self.allowlist)
            answer = self._matcher.admits(ip)
            if len(self._addresses) >= MOST_ANSWERS:
                self._addresses = {}
            self._addresses[ip] = answer
        return answer


class EntryView(NamedTuple):
    """An entry unpacked."""

    starts: int
    dangerous_starts: int
    stops: int
    expires: int
    number: int
    profile: int
    version: int
    flags: int
    key_id: str
    account_id: str
    owner_id: str
    environment: str
    replaced_by: str


def pack(state: KeyState, secret: SecretState, profile: int) -> bytes:
    """One version of a key; `profile` is the number of the profile made of the key's permissions, allowlist, limit."""
    flags = (
        (SUSPENDED if state.suspended else 0)
        | (REVOKED if state.revoked else 0)
        | (STOPPED if secret.stopped else 0)
        | (WATCHED if secret.watched else 0)
        | (SIGNS if secret.public_key else 0)
    )
    names = (state.key_id, state.account_id, state.owner_id, state.environment, secret.replaced_by)
    return HEADER.pack(
        to_micros(secret.starts_at),
        to_micros(max(secret.dangerous_starts_at, secret.starts_at)),
        to_micros(secret.stops_at),
        to_micros(state.expires_at),
        state.number,
        profile,
        secret.version,
        flags,
    ) + _SEPARATOR.join(names).encode("ascii")


header: Final[Callable[[bytes], Header]] = HEADER.unpack_from


def view(entry: bytes) -> EntryView:
    """The inverse of `pack`."""
    return EntryView(*header(entry), *entry[HEADER.size :].decode("ascii").split(_SEPARATOR))


def mark(name: str) -> bytes:
    """What an entry contains if its account or owner is `name`; it may find too much, never too little."""
    return (_SEPARATOR + name + _SEPARATOR).encode("ascii")
