"""The mails of the folder, newest first, for a demo: only where the setting `show_mails` is on.

Whoever sees them can follow every link in them, so no server that people rely on shows them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Final

from markupsafe import Markup, escape
from starlette.responses import Response

from keyturn.core.instant import Instant
from keyturn.core.refusal import NotFound
from keyturn.edge.refused import Refused
from keyturn.outside.mail import MailFolder, transport
from keyturn.web.asked import Asked
from keyturn.web.route import Place, shown

_PATH: Final = "/demo/mails"
_MOST: Final = 100
_LINK: Final = re.compile(r"https?://[^\s/<>\"]+(?P<path>/links/[\w-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One mail in the list."""

    name: str
    to: str
    subject: str
    at: Instant | None


def listing(asked: Asked) -> Response:
    """Who was told what."""
    lines = [_line(name, mail) for name, mail in _mails(asked)]
    return asked.show("mails.html", lines=lines)


def show(asked: Asked) -> Response:
    """One of them, with its link to be followed."""
    found = next((one for name, one in _mails(asked) if name == asked.path["name"]), None)
    if found is None:
        raise Refused(NotFound())
    body = found.get_body(("plain",))
    text = "" if body is None else str(body.get_content())
    return asked.show("mail.html", mail=_line(asked.path["name"], found), text=_with_links(text))


def _mails(asked: Asked) -> Sequence[tuple[str, EmailMessage]]:
    """What lies there.  Raises Refused where nobody is to see it."""
    settings = asked.visit.node.settings
    folder = transport(settings) if settings.show_mails else None
    if not isinstance(folder, MailFolder):
        raise Refused(NotFound())
    return folder.newest(limit=_MOST)


def _line(name: str, mail: EmailMessage) -> Line:
    at = parsedate_to_datetime(str(mail["Date"])) if mail["Date"] else None
    return Line(name=name, to=str(mail["To"]), subject=str(mail["Subject"]), at=Instant(at) if at else None)


def _with_links(text: str) -> Markup:
    """The text with our links to follow, on whatever address the page was opened at; nothing else becomes one."""
    parts, at = list[Markup](), 0
    for found in _LINK.finditer(text):
        link = Markup('<a href="{}">{}</a>').format(found["path"], found[0])
        parts += [escape(text[at : found.start()]), link]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


PLACES: Final[tuple[Place, ...]] = (shown(_PATH, listing), shown(_PATH + "/{name}", show))
