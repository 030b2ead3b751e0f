"""Secrets in addresses: they are logged, shared and kept in histories, so a request with one is refused."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from keyturn.core.own_secret import is_presentable

_SECRET_NAMES: Final = frozenset(
    {"key", "api_key", "apikey", "api-key", "x-api-key", "access_token", "token", "secret", "password", "key_sha256"}
    | {"authorization", "credential", "session"}
)
_SESSION_PREFIX: Final = "kts_"


def url_holds_secret(scope: Mapping[str, Any]) -> bool:
    """Whether a secret stands in the path or the query string."""
    if any(holds_secret(segment) for segment in scope["path"].split("/")):
        return True
    query = scope.get("query_string", b"")
    return bool(query) and query_holds_secret(query)


def query_holds_secret(query: bytes) -> bool:
    """Whether a parameter is named like a secret or looks like one."""
    text = query.decode("latin-1").replace(";", "&")
    pairs = parse_qsl(text, keep_blank_values=True)
    return any(
        name.strip().lower() in _SECRET_NAMES or holds_secret(value) or holds_secret(name) for name, value in pairs
    )


def holds_secret(text: str) -> bool:
    """Whether the text is a key's secret or a session's token, also percent-encoded once more."""
    return any(is_presentable(one) or one.startswith(_SESSION_PREFIX) for one in (text.strip(), unquote(text).strip()))
