"""The address of the database, as people write it, as its drivers take it, and as it may be shown."""

import re
from collections.abc import Mapping
from itertools import cycle
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_POSTGRESQL: Final = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
_SQLITE: Final = ("sqlite", "sqlite+pysqlite")
_ATTRS: Final = "target_session_attrs"
_OF_A_PRIMARY: Final = ("", "primary", "read-write")
_WHERE: Final = ("host", "hostaddr")
_UNREADABLE: Final = "the address of the database cannot be read: write sqlite:///PATH or postgresql://USER@HOST/NAME"


def is_postgresql(url: str) -> bool:
    """Whether it is meant to be an address of PostgreSQL's."""
    return _POSTGRESQL.match(url) is not None


def sqlite_address(url: str) -> URL:
    """`sqlite:///path`.  Raises ValueError for anything else, without repeating it: it may hold a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(_UNREADABLE) from None
    if parsed.drivername not in _SQLITE or parsed.host or parsed.username:
        raise ValueError(_UNREADABLE)
    return parsed


def libpq_options(url: str) -> dict[str, str]:
    """What libpq makes of `postgresql://…`; where that names several hosts, the primary among them is asked for.

    Raises ValueError as above; ImportError without the driver.
    """
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        options = {name: str(value) for name, value in conninfo_to_dict(_POSTGRESQL.sub("postgresql://", url)).items()}
    except (Error, ValueError):
        raise ValueError(_UNREADABLE) from None
    if any("@" in one for one in options.get("host", "").split(",") if one[:1] not in "@/"):  # those lead to a socket
        raise ValueError(_UNREADABLE)  # a password whose @ is not written as %40
    if options.get(_ATTRS, "") not in _OF_A_PRIMARY:
        msg = f"keyturn works with the primary alone, and looks for it: leave {_ATTRS} out"
        raise ValueError(msg)
    where = _defaults() | options
    # Else nobody is to be asked: a pooler answers as of when it began.
    return options | {_ATTRS: "primary" if any("," in where.get(name, "") for name in _WHERE) else "any"}


def _defaults() -> dict[str, str]:
    """What the environment says of hosts."""
    from psycopg.pq import Conninfo

    found = {one.keyword.decode(): one.val for one in Conninfo.get_defaults()}
    return {name: value.decode() for name in _WHERE if (value := found.get(name))}


def libpq_address(url: str) -> str:
    """The same as one text."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**libpq_options(url))


def shown(url: str) -> str:
    """The same without a password, and without what else its query may hold.  Raises nothing."""
    try:
        if not is_postgresql(url):
            return sqlite_address(url).set(query={}).render_as_string(hide_password=True)
        return _shown(libpq_options(url))
    except ValueError:
        return "(not an address of a database)"
    except ImportError:
        return "postgresql://…"


def _shown(options: Mapping[str, str]) -> str:
    user = quote(options.get("user", ""), safe="") + (":***" if "password" in options else "")
    hosts = options.get("host", options.get("hostaddr", "")).split(",")
    ports = cycle(options.get("port", "").split(","))  # one of them may stand for all
    listed = ",".join(_host(host) + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{user}{'@' if user else ''}{listed}/{quote(options.get('dbname', ''), safe='')}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")
