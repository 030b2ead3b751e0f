"""Reading what a verifier is given.  No error repeats it: it may be a key that was put in the wrong place."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from keyturn.core import duration
from keyturn.core import permission as permissions
from keyturn.core.allowlist import parse_address
from keyturn.core.lease import LONGEST_STALE
from keyturn.sdk.nodes import credential_from
from keyturn.verify.message import LONGEST_NAME

ASK_THE_NODE: Final = "ask"
REFUSE: Final = "refuse"
_STALE: Final = "stale:"
_MOST_REMEMBERED: Final = 4096
_NO_PERMISSION: Final = (
    f"not a set of at most {permissions.MOST_PERMISSIONS} permissions; write resource:action, such as orders:read"
)


class Arguments:
    """Those of requests, as they were read before: looked up without a call, and emptied when full."""

    def __init__(self) -> None:
        self.wanted: dict[Any, tuple[str, ...]] = {}
        self.addresses: dict[str, str] = {}

    def read_wanted(self, permission: str | Iterable[str]) -> tuple[str, ...]:
        """Canonical permissions.  Raises ValueError."""
        texts = (permission,) if isinstance(permission, str) else tuple(permission)
        try:
            wanted = permissions.parse_set(texts)
        except ValueError:  # says what was given
            raise ValueError(_NO_PERMISSION) from None
        if len(self.wanted) >= _MOST_REMEMBERED:
            self.wanted.clear()
        self.wanted[permission if isinstance(permission, str) else texts] = wanted
        return wanted

    def read_address(self, ip: str) -> str:
        """Its canonical form.  Raises ValueError."""
        try:
            address = str(parse_address(ip))
        except ValueError:  # as above
            raise ValueError("not an IP address") from None
        if len(self.addresses) >= _MOST_REMEMBERED:
            self.addresses.clear()
        self.addresses[ip] = address
        return address


def read_credential(credential: str | None, credential_file: str | Path | None) -> str:
    """The one that is given or lies in the file.  Raises ValueError, and OSError for a file that cannot be read."""
    if (credential is None) == (credential_file is None):
        raise ValueError("give the credential or the file it lies in")
    shown = (credential or "").strip() if credential_file is None else credential_from(credential_file)
    if not (shown.isascii() and shown.isprintable()) or not shown or " " in shown:
        raise ValueError("what was given as the credential is none: it is empty or holds a character no key has")
    return shown


def read_stale(on_lapse: str) -> int:
    """Microseconds of `stale:<duration>`; 0 for the other two.  Raises ValueError."""
    if on_lapse in (ASK_THE_NODE, REFUSE):
        return 0
    if on_lapse.startswith(_STALE):
        with suppress(ValueError):  # as above
            micros = int(duration.parse(on_lapse.removeprefix(_STALE)).total_seconds() * 1e6)
            if 0 < micros <= LONGEST_STALE:
                return micros
    raise ValueError("on_lapse is ask, refuse or stale:<duration>, such as stale:30s, of a day at most")


def read_name(name: str) -> str:
    """What people read in `keyturn fleet`: the machine and the process where nothing else is said."""
    chosen = name or f"{os.uname().nodename}/{os.getpid()}"
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in chosen)[:LONGEST_NAME]
