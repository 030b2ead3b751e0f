"""`keyturn doctor`: what is wrong with this installation, and what to do about it.

It looks and changes nothing.
"""

import os
import platform
import socket
import sqlite3
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from smtplib import SMTPException
from typing import TYPE_CHECKING, Final

import click

from keyturn.cli.connection import ADMIN_KEY_FILE
from keyturn.cli.installation import configured, database_shown
from keyturn.cli.output import FAILED, Output, json_option, shown

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from keyturn.settings import Settings

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
_COLOURS: Final = {OK: "green", WARN: "yellow", FAIL: "red"}
_YEAR_OF_THIS_VERSION: Final = 2026
_CONNECT_SECONDS: Final = 2.0
_CLOCK_LAG: Final = timedelta(seconds=5)
_TOLD_WITHIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    check: str
    result: str
    found: str
    advice: str = ""


@click.command("doctor")
@click.option("--host", help="Where the server listens, or would.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="On which port.  [default: 8787]")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain in PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key in PEM.")
@configured
@json_option
def command(*, settings: "Settings", as_json: bool) -> int | None:
    """Look for what is wrong with this installation; changes nothing.

    Each line is ok, warn or fail, with what to do.  Exits 1 where something fails.
    """
    out = Output(as_json=as_json)
    findings = list(examine(settings))
    failed = any(one.result == FAIL for one in findings)
    if as_json:
        out.document({"ok": not failed, "checks": [asdict(one) for one in findings]})
        return FAILED if failed else None
    width = max(len(one.check) for one in findings)
    for one in findings:
        out.line(f"{out.mark(one.result.ljust(4), _COLOURS[one.result])}  {one.check.ljust(width)}  {shown(one.found)}")
        if one.advice:
            out.line(f"      {' ' * width}  -> {one.advice}")
    return FAILED if failed else None


def examine(settings: "Settings") -> Iterator[Finding]:
    """Every finding, in the order of the table."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _python,
        _sqlite,
        _folder,
        _pepper,
        _admin_key,
        _database,
        _clock,
        _port,
        _tls,
        _mail,
        _links,
    )
    for check in checks:
        yield from check(settings)


def _python(_settings: "Settings") -> Iterator[Finding]:
    version = platform.python_version()
    if sys.flags.dont_write_bytecode and not Path(__file__).with_name("__pycache__").is_dir():
        advice = "PYTHONDONTWRITEBYTECODE is set: every start takes twice as long; run `python -m compileall` once"
        yield Finding("Python", WARN, version, advice)
    else:
        yield Finding("Python", OK, version)


def _sqlite(settings: "Settings") -> Iterator[Finding]:
    from keyturn.store.database import has_wal_fix

    version = sqlite3.sqlite_version
    if not settings.database.startswith("sqlite"):
        yield Finding("SQLite", OK, f"{version}, not used")
    elif has_wal_fix(sqlite3.sqlite_version_info):
        yield Finding("SQLite", OK, f"{version}, journal WAL, synchronous FULL")
    else:
        found = f"{version} without the WAL-reset fix: rollback journal, synchronous FULL"
        yield Finding("SQLite", WARN, found, "safe, but slower to write; 3.51.3, 3.50.7 or 3.44.6 and later allow WAL")


def _folder(settings: "Settings") -> Iterator[Finding]:
    folder = settings.data
    if not folder.exists():
        yield Finding("data folder", WARN, f"{folder} does not exist yet", "`keyturn init` or the first start makes it")
    elif not folder.is_dir():
        yield Finding("data folder", FAIL, f"{folder} is no folder", "name another with --data or KEYTURN_DATA")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", FAIL, f"{folder} cannot be written", "give it to the user who serves")
    elif _is_open_to_others(folder):
        yield Finding("data folder", WARN, f"{folder} can be read by others", f"chmod 700 {folder}")
    else:
        yield Finding("data folder", OK, str(folder))


def _pepper(settings: "Settings") -> Iterator[Finding]:
    from keyturn.outside.forge import load_peppers

    folder = settings.data / "peppers"
    if not folder.is_dir() or not any(folder.iterdir()):
        if _holds_a_database(settings):
            advice = "without its pepper no key can be verified; bring the folder back from a backup"
            yield Finding("pepper", FAIL, f"{folder} is missing", advice)
        else:
            yield Finding("pepper", WARN, "none yet", "`keyturn init` or the first start makes it")
        return
    try:
        peppers = load_peppers(settings.data)
    except (OSError, ValueError) as error:
        yield Finding("pepper", FAIL, str(error), "bring it back from a backup; never make a new one in its place")
        return
    loose = [file for file in folder.iterdir() if _is_open_to_others(file)]
    if loose:
        yield Finding("pepper", FAIL, f"{loose[0]} can be read by others", f"chmod 600 {loose[0]}")
    else:
        yield Finding("pepper", OK, f"{peppers[0].name}, {len(peppers)} in all")


def _holds_a_database(settings: "Settings") -> bool:
    return settings.database.startswith("sqlite") and (settings.data / "keyturn.db").exists()


def _admin_key(settings: "Settings") -> Iterator[Finding]:
    file = settings.data / ADMIN_KEY_FILE
    if not file.exists():
        yield Finding("administrator key", OK, "not in the data folder")
    elif _is_open_to_others(file):
        yield Finding("administrator key", FAIL, f"{file} can be read by others", f"chmod 600 {file}")
    else:
        yield Finding("administrator key", OK, str(file))


def _database(settings: "Settings") -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from keyturn.store.database import GET_DRIVER, DriverMissing, connect, reason_of, sqlite_file
    from keyturn.store.presence import SessionsShared, check_sessions

    address = database_shown(settings)
    try:
        file = sqlite_file(settings.database)
        engine = connect(settings.database)
    except DriverMissing:
        yield Finding("database", FAIL, f"{address}: the driver is missing", GET_DRIVER)
        return
    except (ValueError, SQLAlchemyError) as error:  # whose text, where it is not ours, may hold the address
        found = str(error) if isinstance(error, ValueError) else reason_of(error)
        yield Finding("database", FAIL, f"{address}: {found}", "see KEYTURN_DATABASE_URL")
        return
    if file is not None and not file.exists():
        yield Finding("database", WARN, f"{address} does not exist yet", "`keyturn init` or the first start makes it")
        return
    try:
        check_sessions(engine)
        yield from _schema(engine, address, settings)
    except SessionsShared as error:
        yield Finding("database", FAIL, f"{address}: {error}", "PgBouncer: pool_mode = session")
    except (SQLAlchemyError, UnicodeError) as error:
        yield Finding("database", FAIL, f"{address}: {reason_of(error)}", "is it running, and is the address right?")
    finally:
        engine.dispose()


def _schema(engine: "Engine", address: str, settings: "Settings") -> Iterator[Finding]:
    from sqlalchemy import func, select

    from keyturn.outside import clock
    from keyturn.store.durability import durability
    from keyturn.store.migrate import revisions
    from keyturn.store.tables import authority, deliveries

    current, wanted = revisions(engine)
    if current == wanted:
        yield Finding("database", OK, f"{address}, revision {current}")
    else:
        found = f"{address}: revision {current or 'none'}, this version wants {wanted}"
        yield Finding("database", WARN, found, "keyturn migrate, or the next start")
        return
    with engine.connect() as connection:
        heard = connection.execute(select(authority.c.high_water)).scalar_one()
        waits = deliveries.c.state == "waiting"
        waiting, oldest = connection.execute(select(func.count(), func.min(deliveries.c.made_at)).where(waits)).one()
    if heard - clock.now() > _CLOCK_LAG:
        found = f"this machine's clock lags behind {heard.isoformat(timespec='seconds')}, already written here"
        yield Finding("time", WARN, found, "set it, best by NTP; until then nothing expires on time")
    if waiting and clock.now() - oldest > _TOLD_WITHIN:
        found = f"{waiting} wait to be told, the oldest since {oldest.isoformat(timespec='seconds')}"
        yield Finding("outbox", WARN, found, "is the server up, and does it reach the mail server and the webhooks?")
    else:
        yield Finding("outbox", OK, f"{waiting} wait to be told")
    yield from _peppers_of_database(engine, settings)
    durable = durability(engine)
    if durable.strict:
        yield Finding("durability", OK, "a commit survives a crash")
    else:
        yield Finding("durability", FAIL, durable.reason, "resets are not confirmed until a commit is durable")


def _peppers_of_database(engine: "Engine", settings: "Settings") -> Iterator[Finding]:
    from keyturn.outside.forge import load_peppers
    from keyturn.store.peppers import missing

    try:
        peppers = load_peppers(settings.data, may_make=False)
    except (OSError, ValueError):
        return  # said already
    with engine.connect() as connection:
        lacking = missing(connection, peppers)
    if lacking:
        advice = "copy the folder peppers/ from another server's data folder, or from its backup"
        yield Finding("pepper", FAIL, f"not of this database: {lacking}", advice)


def _clock(_settings: "Settings") -> Iterator[Finding]:
    from keyturn.outside import clock

    now = clock.now()
    if now.year < _YEAR_OF_THIS_VERSION:
        yield Finding("clock", FAIL, now.isoformat(timespec="seconds"), "it lags by years; set it, best by NTP")
    else:
        yield Finding("clock", OK, now.isoformat(timespec="seconds"))


def _port(settings: "Settings") -> Iterator[Finding]:
    where = f"{settings.host} port {settings.port}"
    if _is_free(settings.host, settings.port):
        yield Finding("port", OK, f"{where} is free: nothing serves there")
        return
    scheme = "https" if settings.tls_cert else "http"
    if (said := _ask_livez(scheme, settings.host, settings.port)) is not None:
        yield Finding("port", OK, f"a keyturn server answers at {where}{said}")
    else:
        advice = "end what listens there, or serve on another with --port"
        yield Finding("port", FAIL, f"{where} is taken, and not by a keyturn server", advice)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return True
    except (OSError, OverflowError):
        return False


def _ask_livez(scheme: str, host: str, port: int) -> str | None:
    """None where no keyturn answers; else what there is to add."""
    import httpx2

    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
    base = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"
    try:
        # Only whether it lives: no credential is sent, so the certificate is not asked for its name.
        with httpx2.Client(verify=False, timeout=_CONNECT_SECONDS, trust_env=False) as http:
            if http.get(f"{base}/livez").text != '{"status":"alive"}':
                return None
            ready = http.get(f"{base}/readyz").status_code == 200
    except httpx2.HTTPError:
        return None
    return "" if ready else ", but it is not ready (/readyz says why)"


def _tls(settings: "Settings") -> Iterator[Finding]:
    if settings.tls_cert is None or settings.tls_key is None:
        if _is_loopback(settings):
            yield Finding("TLS", OK, "none; this machine alone can reach the server")
        else:
            advice = "name --tls-cert and --tls-key, or have a proxy do it and list it in trusted_proxies"
            yield Finding("TLS", WARN, "none: no secret is handed out over plain HTTP", advice)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        found = f"{settings.tls_cert}, {settings.tls_key}: {error.strerror or error}"
        yield Finding("TLS", FAIL, found, "certificate and key must be PEM files that belong together")
        return
    if _is_open_to_others(settings.tls_key):
        yield Finding("TLS", WARN, f"{settings.tls_key} can be read by others", f"chmod 600 {settings.tls_key}")
    else:
        yield Finding("TLS", OK, str(settings.tls_cert))


def _mail(settings: "Settings") -> Iterator[Finding]:
    from keyturn.outside.mail import FOLDER, SmtpServer, transport

    if not settings.mail:
        found = f"none set: mails are written to {settings.data / FOLDER}"
        yield Finding("mail", WARN, found, "nobody is told of anything; set mail to smtp://user@host:587")
        return
    try:
        way = transport(settings)
        if isinstance(way, SmtpServer):
            way.check()
    except (OSError, SMTPException, ValueError) as error:
        # Never its text: a mail server may say anything back.
        advice = "is it up, are its certificate, the user and mail_password_file right?"
        yield Finding("mail", FAIL, f"{settings.mail}: {type(error).__name__}", advice)
        return
    if settings.mail_password_file is not None and _is_open_to_others(settings.mail_password_file):
        file = settings.mail_password_file
        yield Finding("mail", FAIL, f"{file} can be read by others", f"chmod 600 {file}")
    else:
        yield Finding("mail", OK, settings.mail)


def _links(settings: "Settings") -> Iterator[Finding]:
    if settings.base_url:
        yield Finding("links", OK, f"mails link to {settings.base_url}")
    elif _is_loopback(settings):
        yield Finding("links", OK, "mails link to this machine")
    else:
        advice = "set base_url to the address where people reach this server"
        yield Finding("links", WARN, "base_url is not set, so mails have no links", advice)


def _is_loopback(settings: "Settings") -> bool:
    from keyturn.sdk.client import is_loopback_url

    return is_loopback_url(f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}")


def _is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
