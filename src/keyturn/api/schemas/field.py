"""The fields of forms and answers: what a text must look like, and what the API says of it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from keyturn.core import allowlist, duration, instant, own_secret, password, permission, portal, public_key
from keyturn.core import limit as limits
from keyturn.core.account import parse_username
from keyturn.core.address import parse_email
from keyturn.core.limit import Limit
from keyturn.core.public_key import PublicKey
from keyturn.core.secret import LONGEST_LABEL, SecretText, check_label
from keyturn.edge.url import holds_secret
from keyturn.outside.words import LANGUAGES

T = TypeVar("T")
LONGEST_NAME = 200


def _text(parse: Callable[[str], T]) -> Callable[[Any], T]:
    def read(value: Any) -> T:  # noqa: ANN401  # anything may be sent
        if not isinstance(value, str):
            msg = "write a text"
            raise ValueError(msg)  # noqa: TRY004  # pydantic takes a ValueError
        return parse(value)

    return read


def texts(parse: Callable[[list[str]], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    """A list of texts, read by a parser of the core's."""

    def read(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            msg = "write a list of texts"
            raise ValueError(msg)
        return parse(value)

    return read


def _limit(value: Any) -> Limit:  # noqa: ANN401  # as above
    if isinstance(value, dict) and value.keys() == {"requests", "window"}:
        value = f"{value['requests']}/{value['window']}"
    return _text(limits.parse)(value)


def _name(value: str) -> str:
    if not value.strip() or len(value) > LONGEST_NAME or not value.isprintable():
        msg = f"1 to {LONGEST_NAME} printable characters"
        raise ValueError(msg)
    return _no_secret(value)


def _no_secret(value: str) -> str:
    if holds_secret(value):
        msg = "that is a secret; consider it leaked and reset its key"
        raise ValueError(msg)
    return value


def _language(value: str) -> str:
    if value not in LANGUAGES:
        msg = f"one of {', '.join(LANGUAGES)}"
        raise ValueError(msg)
    return value


def _address(value: str) -> str:
    portal.origin_of(value)
    return value


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        msg = "a time zone such as Europe/Berlin"
        raise ValueError(msg) from None


def _schema(**schema: object) -> WithJsonSchema:
    return WithJsonSchema(schema)


ARRAY = {"type": "array", "items": {"type": "string"}}
Moment = Annotated[datetime, PlainValidator(_text(instant.from_text)), _schema(type="string", format="date-time")]
Span = Annotated[
    timedelta,
    PlainValidator(_text(duration.parse)),
    _schema(type="string", examples=["90d", "24h", "30m", "0s", "P1D"], description="A duration, never a bare number."),
]
Permissions = Annotated[
    tuple[str, ...],
    PlainValidator(texts(permission.parse_set)),
    WithJsonSchema(ARRAY | {"examples": [["orders:write", "*:read"]]}),
]
Networks = Annotated[
    tuple[str, ...],
    PlainValidator(texts(allowlist.parse_set)),
    WithJsonSchema(ARRAY | {"examples": [["192.0.2.0/24", "2001:db8::/32"]]}),
]
Rate = Annotated[
    Limit,
    PlainValidator(_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["100/1m"]},
                {
                    "type": "object",
                    "properties": {"requests": {"type": "integer"}, "window": {"type": "string"}},
                    "required": ["requests", "window"],
                },
            ]
        }
    ),
]
Name = Annotated[str, PlainValidator(_text(_name)), _schema(type="string", minLength=1, maxLength=LONGEST_NAME)]
Email = Annotated[str, PlainValidator(_text(parse_email)), _schema(type="string", format="email", maxLength=320)]
AnyPassword = Annotated[str, Field(max_length=password.MOST, json_schema_extra={"format": "password"})]
Password = Annotated[
    str,
    Field(
        min_length=1,
        max_length=password.MOST,
        json_schema_extra={"format": "password"},
        description=f"At least {password.LEAST} characters, {password.LEAST_WITH_SECOND_FACTOR} with a second factor.",
    ),
]
Username = Annotated[
    str,
    PlainValidator(_text(parse_username)),
    _schema(type="string", minLength=3, maxLength=32, examples=["trader.one"]),
]
Language = Annotated[str, PlainValidator(_text(_language)), _schema(type="string", enum=list(LANGUAGES))]
Zone = Annotated[str, PlainValidator(_text(_zone)), _schema(type="string", examples=["Europe/Berlin"])]
ShownText = Annotated[str, Field(min_length=1, max_length=200)]
RoleName = Literal["owner", "admin", "member", "auditor", "support", "security"]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["tradingonramp"])]
Id = Annotated[str, Field(pattern=r"^[!-~]{1,64}$", examples=["acc_3fJq0Zb7Yc2Lw9Xn4Tk1"])]
ShortText = Annotated[
    str, BeforeValidator(_text(_name)), Field(max_length=LONGEST_NAME, json_schema_extra={"minLength": 1})
]
Origin = Annotated[
    str,
    PlainValidator(_text(portal.read_origin)),
    _schema(type="string", maxLength=300, examples=["https://app.example.com"]),
]
Address = Annotated[
    str,
    PlainValidator(_text(_address)),
    _schema(type="string", format="uri", maxLength=portal.LONGEST_ADDRESS, examples=["https://app.example.com/keys"]),
]
ReasonGiven = Literal["lost", "leaked", "suspicious", "routine", "personnel", "policy"]
Label = Annotated[
    str,
    PlainValidator(_text(check_label)),
    _schema(type="string", pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", maxLength=LONGEST_LABEL),
]
BroughtKey = Annotated[
    PublicKey,
    PlainValidator(_text(public_key.parse)),
    _schema(
        type="string",
        maxLength=public_key.LONGEST_TEXT,
        description="An Ed25519 public key, in PEM or its 32 bytes in base64; its other half signs the requests.",
    ),
]
OwnSecret = Annotated[
    SecretText,
    PlainValidator(_text(SecretText)),
    _schema(
        type="string",
        format="password",
        minLength=own_secret.SHORTEST,
        maxLength=own_secret.LONGEST,
        description="A secret of the customer's own choice, where the policy allows it.",
    ),
]
Code = Annotated[str, Field(max_length=64, examples=["123456"])]
Credential = Annotated[dict[str, Any], Field(description="What the browser's passkey call answered, in its JSON form.")]
