"""What every form and every answer is."""

from typing import Generic

from pydantic import BaseModel, ConfigDict

from keyturn.api.schemas.field import ShortText, T


class Form(BaseModel):
    """What a caller sends: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Why(Form):
    """Why something is stopped, in the caller's words."""

    reason: ShortText | None = None


class Nothing(Form):
    """A call that takes no fields."""


class Shown(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(extra="forbid")


class PageShown(Shown, Generic[T]):
    """A part of a list; `next_cursor` asks for the next."""

    items: list[T]
    next_cursor: str | None


class Problem(BaseModel):
    """A refusal (RFC 9457), decided upon by `code`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
