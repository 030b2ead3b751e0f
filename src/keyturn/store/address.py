"""The address of the database, as people write it, as its drivers take it, and as it may be shown."""

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_DEFAULT_PORT: Final = "5432"
_LISTED: Final = re.compile(
    r"(?P<before>postgres(?:ql)?(?:\+\w+)?://(?:[^:/@]*(?::[^@]*)?@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<after>[/?].*)?",
    re.DOTALL,
)
_HOST: Final = re.compile(r"(?:\[(?P<literal>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")
_ATTRS: Final = "target_session_attrs"
_OF_A_PRIMARY: Final = ("primary", "read-write")
_UNREADABLE: Final = "the address of the database cannot be read: write sqlite:///PATH or postgresql://USER@HOST/NAME"


def parse(url: str) -> URL:
    """`sqlite:///path`, or `postgresql://…` as libpq takes it, several hosts included.  Raises ValueError."""
    listed = _LISTED.fullmatch(url)
    try:
        parsed = make_url(listed["before"] + (listed["after"] or "") if listed else url)
    except (ArgumentError, ValueError):
        raise ValueError(_UNREADABLE) from None  # its text may hold a password
    if listed:
        hosts, ports = zip(*map(_host, listed["hosts"].split(",")), strict=True)
        parsed = parsed.update_query_dict({"host": ",".join(hosts), "port": ",".join(ports)})
    if parsed.query.get(_ATTRS, _OF_A_PRIMARY[0]) not in _OF_A_PRIMARY:
        msg = f"keyturn works with the primary alone, and looks for it: leave {_ATTRS} out"
        raise ValueError(msg)
    return parsed


def _host(text: str) -> tuple[str, str]:
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError("a host in the address of the database cannot be read: write HOST or HOST:PORT")
    return found["literal"] or found["name"], found["port"] or _DEFAULT_PORT


def shown(url: str) -> str:
    """The same without a password, and without what else its query may hold.  Raises nothing."""
    try:
        parsed = parse(url)
    except ValueError:
        return "(not an address of a database)"
    hosts = _hosts(parsed)
    if not hosts:
        return parsed.set(query={}).render_as_string(hide_password=True)
    user = f"{parsed.username or ''}{':***' if parsed.password else ''}"
    return f"{parsed.drivername}://{user}{'@' if user else ''}{','.join(hosts)}/{parsed.database or ''}"


def _hosts(parsed: URL) -> Sequence[str]:
    """Those of its query, where it names several, as a person writes them."""
    named, ports = parsed.query.get("host", ()), parsed.query.get("port", ())
    if not isinstance(named, str):
        return named
    if "," not in named:
        return ()
    at = ports.split(",") if isinstance(ports, str) else ports
    pairs = [(host, at[number] if number < len(at) else "") for number, host in enumerate(named.split(","))]
    return [(f"[{host}]" if ":" in host else host) + (f":{port}" if port else "") for host, port in pairs]


def libpq_address(url: str) -> str:
    """The address of a PostgreSQL database as libpq takes it.  Raises ValueError; ImportError without the driver."""
    from psycopg.conninfo import make_conninfo

    parsed = parse(url).set(drivername="postgresql+psycopg")
    _, named = parsed.get_dialect()().create_connect_args(parsed)
    return make_conninfo(**{name: value for name, value in named.items() if name != "context"})
