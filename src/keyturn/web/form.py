"""What a browser posts: `application/x-www-form-urlencoded`, read strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from keyturn.core.refusal import BodyTooLarge, MalformedBody, UnsupportedMediaType
from keyturn.edge.refused import Refused

MOST_BYTES: Final = 65_536
MOST_FIELDS: Final = 200
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """The fields of a form; its `repr` shows none, for some are secrets."""

    fields: Mapping[str, tuple[str, ...]]

    def __call__(self, name: str) -> str:
        """The field's text without spaces around it; empty where it is absent or given twice."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """The field's text as it was typed: for passwords."""
        found = self.fields.get(name, ())
        return found[0] if len(found) == 1 else ""

    def every(self, name: str) -> tuple[str, ...]:
        """Each value of a field that may be given more than once."""
        return self.fields.get(name, ())

    def lines(self, name: str) -> tuple[str, ...]:
        """The words of a text area: by line, comma or space."""
        return tuple(self.raw(name).replace(",", " ").split())


NO_FORM: Final = Form({})


async def read_form(request: Request) -> Form:
    """The form of a request.  Raises Refused for another media type, too much of it, or what is no form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise Refused(UnsupportedMediaType())
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused(BodyTooLarge())
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS, separator="&"
        )
    except (UnicodeDecodeError, ValueError):
        raise Refused(MalformedBody(reason="it cannot be read")) from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise Refused(MalformedBody(reason="it cannot be read"))
        fields[name] = (*fields.get(name, ()), value.replace("\r\n", "\n"))
    return Form(fields)
