"""What a mail says: text and HTML from the catalogue, in the reader's language and zone (R50).

No mail holds a secret, and each has at most one link.  Names are other people's words, so they are shown with nothing
in them that misleads (pitfall 27); the link begins with the address the operator has configured, never with one that a
request brought along (pitfall 21).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from keyturn.core.actor import SYSTEM
from keyturn.core.instant import Instant, from_text
from keyturn.core.letter import Letter
from keyturn.core.notice import Notice
from keyturn.core.visible import visible
from keyturn.outside import words as catalogue
from keyturn.outside.words import Words
from keyturn.ports.sender import Consignment

if TYPE_CHECKING:
    from jinja2 import Environment

_UTC: Final = ZoneInfo("UTC")
_SHOWN: Final = ("name", "kind", "email", "role", "reason", "fields", "host", "user_agent", "version")
_DATES: Final = ("new_starts_at", "old_stops_at", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """A mail without its headers."""

    subject: str
    text: str
    html: str


def write(consignment: Consignment, *, base_url: str) -> MailText:
    """The mail that this delivery is.  Without `base_url` it says so where the link would stand."""
    parcel = consignment.parcel
    words = catalogue.load(_language(consignment))
    if parcel.notice is not None:
        return _notice(consignment, parcel.notice, words, base_url)
    assert parcel.letter is not None  # noqa: S101  # it is the one or the other
    return _letter(consignment, parcel.letter, words, base_url)


def _language(consignment: Consignment) -> str:
    letter, user = consignment.parcel.letter, consignment.user
    return catalogue.negotiate([letter.language if letter else "", user.language if user else ""])


def _zone(consignment: Consignment) -> ZoneInfo:
    """The reader's zone."""
    user = consignment.user
    try:
        return ZoneInfo(user.time_zone) if user and user.time_zone else _UTC
    except (KeyError, ValueError, OSError):
        return _UTC  # none that this machine knows


def _notice(consignment: Consignment, notice: Notice, words: Words, base_url: str) -> MailText:
    part = f"notice.{notice.kind}" if words.has(f"notice.{notice.kind}.text") else "notice.other"
    facts = dict(_facts_of(consignment, notice, words))
    values = {"event": visible(notice.kind), "key": "", "account": ""} | facts
    user = consignment.user
    return _mail(
        words,
        subject=_filled(words, f"{part}.subject", values),
        text=_filled(words, f"{part}.text", values),
        greeting=_greeting(words, user.name if user else ""),
        facts=facts,
        url=_url(base_url, consignment),
        label=words("mail.not_me"),
        why=words("mail.not_me_key" if notice.key_id else "mail.not_me_person"),
    )


def _letter(consignment: Consignment, letter: Letter, words: Words, base_url: str) -> MailText:
    part = f"letter.{letter.kind}" if words.has(f"letter.{letter.kind}.text") else "letter.other"
    zone = _zone(consignment)
    facts = {name: visible(letter.detail[name]) for name in ("account", "key", "by") if letter.detail.get(name)}
    facts |= dict(_details(letter.detail, words, zone))
    if consignment.link_ends_at is not None:
        facts["ends_at"] = words.to_the_second(consignment.link_ends_at, zone)
    values = {"key": "", "account": "", "by": ""} | facts
    return _mail(
        words,
        subject=_filled(words, f"{part}.subject", values),
        text=_filled(words, f"{part}.text", values),
        greeting=words("mail.greeting_nameless"),
        facts=facts,
        url=_url(base_url, consignment),
        label=words(f"{part}.button"),
        why="",
    )


def _facts_of(consignment: Consignment, notice: Notice, words: Words) -> Iterator[tuple[str, str]]:
    """What there is to know, by the names of `mail.fact`, in the order it is shown."""
    zone = _zone(consignment)
    if consignment.key is not None:
        yield "key", f"{visible(consignment.key.name)} ({consignment.key.secrets[-1].hint})"
    if consignment.account is not None:
        yield "account", visible(consignment.account.name)
    yield "when", words.to_the_second(consignment.parcel.at, zone)
    if by := _by(consignment, notice, words):
        yield "by", by
    if notice.address:
        yield "address", visible(notice.address)
    yield from _details(notice.detail, words, zone)


def _by(consignment: Consignment, notice: Notice, words: Words) -> str:
    if notice.actor_id == SYSTEM.id:
        return words("mail.system")
    if consignment.user is not None and notice.actor_id == consignment.user.id:
        return words("mail.you")
    return visible(consignment.actor)


def _details(detail: Mapping[str, str], words: Words, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    """Those details that people know what to do with; whatever else a flow wrote down is for the audit log."""
    for name in _SHOWN:
        if value := detail.get(name):
            known = f"mail.{name}.{value}"
            yield name, words(known) if words.has(known) else visible(value)
    for name in _DATES:
        if instant := _instant(detail.get(name, "")):
            yield name, words.to_the_second(instant, zone)


def _instant(text: str) -> Instant | None:
    try:
        return from_text(text)
    except ValueError:
        return None


def _greeting(words: Words, name: str) -> str:
    return words("mail.greeting", name=visible(name)) if name else words("mail.greeting_nameless")


def _filled(words: Words, key: str, values: Mapping[str, str]) -> str:
    return words.texts[key].format_map(values)  # not by a call, whose own first word is `key`


def _url(base_url: str, consignment: Consignment) -> str:
    return f"{base_url}/links/{consignment.link_token}" if base_url and consignment.link_token else ""


def _mail(
    words: Words, *, subject: str, text: str, greeting: str, facts: Mapping[str, str], url: str, label: str, why: str
) -> MailText:
    values = {
        "language": words.language,
        "subject": subject,
        "greeting": greeting,
        "text": text,
        "facts": [(words(f"mail.fact.{name}"), value) for name, value in facts.items()],
        "url": url,
        "label": label,
        "why": why,
        "no_link": words("mail.no_link"),
        "footer": words("mail.footer"),
    }
    return MailText(
        subject=subject,
        text=_templates().get_template("mail.txt.jinja").render(values),
        html=_templates().get_template("mail.html.jinja").render(values),
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FunctionLoader(lambda name: (files("keyturn.outside") / name).read_text("utf-8")),
        autoescape=select_autoescape(("html.jinja",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
