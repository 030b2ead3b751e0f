"""Every setting, typed, with its default: flags over environment over `keyturn.toml`."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from keyturn.core import allowlist, captcha, duration
from keyturn.core.oidc import OidcProvider, parse_provider
from keyturn.core.portal import read_origin
from keyturn.core.secret import check_brand
from keyturn.core.session import IDLE, LONGEST, SEEN_EVERY, Spans

FILE_NAME: Final = "keyturn.toml"
PREFIX: Final = "KEYTURN_"
MOST_CACHED: Final = 50_000_000


class SettingError(ValueError):
    """A setting that cannot be used; the text says which and why."""


# ruff: noqa: RUF009  # `_setting` is `dataclasses.field` with its particulars


def _setting(default: Any, doc: str, parse: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # as dataclasses.field
    return field(default=default, metadata={"doc": doc, "parse": parse})


def _text(value: Any) -> str:  # noqa: ANN401  # from a file or the environment
    if not isinstance(value, str):
        msg = "a text"
        raise ValueError(msg)  # noqa: TRY004  # one kind of error for every bad value
    return value


def _path(value: Any) -> Path:  # noqa: ANN401  # as above
    return Path(value) if isinstance(value, Path) else Path(_text(value)).expanduser()


def _path_or_none(value: Any) -> Path | None:  # noqa: ANN401  # as above
    return None if value in (None, "") else _path(value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:  # noqa: ANN401  # as above
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return parse


def _count(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:  # noqa: ANN401  # as above
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            msg = f"a whole number from {least} to {most}"
            raise ValueError(msg)
        return number

    return parse


def _span(least: timedelta, most: timedelta) -> Callable[[Any], timedelta]:
    def parse(value: Any) -> timedelta:  # noqa: ANN401  # as above
        span = value if isinstance(value, timedelta) else duration.parse(_text(value))
        if not least <= span <= most:
            msg = f"a duration from {duration.to_text(least)} to {duration.to_text(most)}"
            raise ValueError(msg)
        return span

    return parse


def _networks(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
    texts = value.replace(",", " ").split() if isinstance(value, str) else value
    networks = allowlist.parse_set(texts)
    for text in networks:
        if ip_network(text).prefixlen == 0:
            msg = f"{text} would trust everybody"
            raise ValueError(msg)
    return networks


def _providers(value: Any) -> tuple[OidcProvider, ...]:  # noqa: ANN401  # as above
    tables = json.loads(value) if isinstance(value, str) else value
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        msg = "a list of tables, each a provider"
        raise ValueError(msg)
    providers = tuple(parse_provider(one) for one in tables)
    if len({one.name for one in providers}) < len(providers):
        msg = "two providers have one name"
        raise ValueError(msg)
    return providers


def _origins(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
    texts = value.replace(",", " ").split() if isinstance(value, str) else value
    return tuple(dict.fromkeys(read_origin(_text(one)) for one in texts))


def _base_url(value: Any) -> str:  # noqa: ANN401  # as above
    text = _text(value).rstrip("/")
    if text and not text.startswith(("http://", "https://")):
        msg = "an address that starts with https:// or http://"
        raise ValueError(msg)
    return text


def _email(value: Any) -> str:  # noqa: ANN401  # as above
    text = _text(value)
    local, at, domain = text.rpartition("@")
    if not (at and local and domain and text.isascii() and text.isprintable()) or " " in text:
        msg = "an address such as keyturn@example.com"
        raise ValueError(msg)
    return text


def _mail_url(value: Any) -> str:  # noqa: ANN401  # as above
    text = _text(value)
    parts = urlsplit(text)
    by_smtp = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.password is None
    if text and text != "console:" and not by_smtp and not (text.startswith("file:") and text != "file:"):
        msg = "smtp://user@host:587, smtps://user@host:465, file:FOLDER or console:, and never with a password in it"
        raise ValueError(msg)
    return text


def _flag(value: Any) -> bool:  # noqa: ANN401  # as above
    named = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    chosen = value if isinstance(value, bool) else named.get(_text(value).lower())
    if chosen is None:
        msg = "true or false"
        raise ValueError(msg)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can set.  The environment names each one `KEYTURN_<NAME>`."""

    data: Path = _setting(
        Path("keyturn-data"), "Folder for the database, the peppers and the administrator key.", _path
    )
    database_url: str = _setting("", "sqlite:///path or postgresql://…; empty for SQLite in the data folder.", _text)
    host: str = _setting("127.0.0.1", "Address to listen on.", _text)
    port: int = _setting(8787, "Port to listen on; 0 for any free one.", _count(0, 65535))
    tls_cert: Path | None = _setting(None, "Certificate chain in PEM; read again when the file changes.", _path_or_none)
    tls_key: Path | None = _setting(None, "Private key in PEM; read again when the file changes.", _path_or_none)
    base_url: str = _setting("", "Where callers reach this server; links and problem types start with it.", _base_url)
    brand: str = _setting("kt", "What every new secret starts with.", lambda value: check_brand(_text(value)))
    trusted_proxies: tuple[str, ...] = _setting(
        (), "Networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.", _networks
    )
    trusted_gateways: tuple[str, ...] = _setting(
        (), "Networks from which verifications are answered without a credential.", _networks
    )
    cached_keys: int = _setting(1_000_000, "How many secrets the verifier keeps in memory.", _count(1, MOST_CACHED))
    mail: str = _setting(
        "",
        "Where mails go: smtp://user@host:587, smtps://user@host:465, file:FOLDER or console:;"
        " empty for files in the data folder.",
        _mail_url,
    )
    mail_password_file: Path | None = _setting(None, "File that holds the mail server's password.", _path_or_none)
    mail_from: str = _setting("keyturn@localhost", "The address that mails come from.", _email)
    mail_ca: Path | None = _setting(None, "Certificates in PEM by which the mail server is known.", _path_or_none)
    show_mails: bool = _setting(False, "Show the mails of the data folder to every visitor: for a demo.", _flag)
    webhooks_to_loopback: bool = _setting(
        False, "Let webhooks call this machine, over plain HTTP too: for trying them out.", _flag
    )
    drain_seconds: int = _setting(10, "How long requests under way may take to finish on SIGTERM.", _count(0, 600))

    portal_origins: tuple[str, ...] = _setting(
        (), "Origins of pages that may embed a portal, or that it may lead back to.", _origins
    )
    session_idle: timedelta = _setting(
        IDLE, "How long a session may go unused.", _span(5 * SEEN_EVERY, timedelta(days=31))
    )
    session_longest: timedelta = _setting(
        LONGEST, "How long a session may last, however busy it is.", _span(5 * SEEN_EVERY, timedelta(days=31))
    )
    captcha_provider: str = _setting(
        captcha.ALTCHA,
        "Which CAPTCHA: altcha needs nobody else; turnstile, hcaptcha and recaptcha are services.",
        _one_of(captcha.ALTCHA, *captcha.SERVICES),
    )
    captcha_site_key: str = _setting("", "What a CAPTCHA service knows this site by.", _text)
    captcha_secret_file: Path | None = _setting(None, "File with the secret of the CAPTCHA service.", _path_or_none)
    captcha_verify_url: str = _setting(
        "", "Where the CAPTCHA service is asked, if not at its usual address.", _base_url
    )
    captcha_difficulty: int = _setting(
        50_000, "How many hashes a browser reckons at most for one ALTCHA.", _count(2, 100_000_000)
    )

    oidc: tuple[OidcProvider, ...] = _setting(
        (),
        "Providers to sign in with, each a table `[[oidc]]`: name, issuer, client_id, client_secret_file, label,"
        " trust_email; in the environment a JSON list.",
        _providers,
    )

    @property
    def sessions(self) -> Spans:
        """How long sessions last."""
        return Spans(idle=self.session_idle, longest=self.session_longest)

    @property
    def database(self) -> str:
        """The database's address, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data / 'keyturn.db'}"

    @classmethod
    def load(
        cls, flags: Mapping[str, Any], *, environ: Mapping[str, str] = os.environ, file: Path | None = None
    ) -> Self:
        """Flags (None: not given) over environment over file.  Raises SettingError."""
        chosen = _from_file(file or Path(environ.get(PREFIX + "CONFIG", FILE_NAME)), must_exist=file is not None)
        named = {one.name for one in fields(cls)}
        chosen |= {name: environ[PREFIX + name.upper()] for name in named if PREFIX + name.upper() in environ}
        chosen |= {name: value for name, value in flags.items() if value is not None}
        if unknown := sorted(chosen.keys() - named):
            msg = f"{FILE_NAME}: there is no setting {unknown[0]!r}"
            raise SettingError(msg)
        values = {
            one.name: _parse(one.name, chosen[one.name], one.metadata["parse"])
            for one in fields(cls)
            if one.name in chosen
        }
        settings = cls(**values)
        if (settings.tls_cert is None) != (settings.tls_key is None):
            msg = "tls_cert and tls_key go together"
            raise SettingError(msg)
        service = settings.captcha_provider != captcha.ALTCHA
        if service and not (settings.captcha_site_key and settings.captcha_secret_file):
            msg = f"captcha_provider {settings.captcha_provider} needs captcha_site_key and captcha_secret_file"
            raise SettingError(msg)
        return settings


def _from_file(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        if must_exist:
            msg = f"{file} does not exist"
            raise SettingError(msg) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{file} cannot be read: {error}"
        raise SettingError(msg) from None


def _parse(name: str, value: Any, parse: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # each setting has its type
    try:
        return parse(value)
    except (ValueError, TypeError) as error:
        msg = f"{name}: {error}"
        raise SettingError(msg) from None
