"""Refused for the form of the request."""

from dataclasses import dataclass
from typing import ClassVar

from keyturn.core.refusal.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSite(Refusal):
    """A form that another site sent, or that this browser was not shown: its page was left open too long, perhaps."""

    kind: ClassVar[str] = "cross_site"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "This form did not come from a page of ours in this browser; load the page again."


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedRequest(Refusal):
    """Not HTTP, or with a line that no two readers would take alike; nothing after it on the connection is read."""

    kind: ClassVar[str] = "malformed_request"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "This is no request of HTTP/1.1 that can be read."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTooLarge(Refusal):
    kind: ClassVar[str] = "head_too_large"
    status: ClassVar[int] = 431
    title: ClassVar[str] = "The request line and the headers are over 256 KiB."


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedBody(Refusal):
    kind: ClassVar[str] = "malformed_body"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The body is not JSON that can be read."
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateField(Refusal):
    kind: ClassVar[str] = "duplicate_field"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The body names a field twice."
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateHeader(Refusal):
    kind: ClassVar[str] = "duplicate_header"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A header that must be single was sent twice, or two headers name different keys."
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidHeader(Refusal):
    kind: ClassVar[str] = "invalid_header"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A header has a value that cannot be used."
    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInQuery(Refusal):
    """Addresses are logged and shared; a secret in one is a leaked secret."""

    kind: ClassVar[str] = "key_in_query"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "A key does not belong into a URL; consider it leaked and reset it."


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodNotAllowed(Refusal):
    kind: ClassVar[str] = "method_not_allowed"
    status: ClassVar[int] = 405
    title: ClassVar[str] = "This address does not take that method."


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyTooLarge(Refusal):
    kind: ClassVar[str] = "body_too_large"
    status: ClassVar[int] = 413
    title: ClassVar[str] = "The body is over 64 KiB."


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedMediaType(Refusal):
    kind: ClassVar[str] = "unsupported_media_type"
    status: ClassVar[int] = 415
    title: ClassVar[str] = "Send the body as application/json."
