"""WSGI middleware: only requests whose key is accepted reach the application, in `environ["keyturn"]` whose it is.

    app = KeyturnMiddleware(app, verifier, needs="orders")

For Flask: `app.wsgi_app = KeyturnMiddleware(app.wsgi_app, verifier, needs="orders")`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from keyturn.sdk.admission import AcceptedKey, Problem, Request, is_reserved
from keyturn.sdk.middleware import Middleware
from keyturn.sdk.needs import OPEN
from keyturn.sdk.readings import OVERRIDES, Otherwise, overridden

__all__ = ["OPEN", "AcceptedKey", "KeyturnMiddleware"]

_HEADER: Final = "HTTP_"
_OVERRIDES: Final = frozenset(_HEADER + name.upper().replace("-", "_") for name in OVERRIDES)
_PATH_HEADERS: Final = frozenset({"HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"})
"""Of these gunicorn makes the path, so that a client could say where in it the prefix ends."""


class KeyturnMiddleware(Middleware[WSGIApplication]):
    """Stands before an application; the arguments are those of `Admission`."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._admission.admit(_read(environ))
        if isinstance(answer, Problem):
            start_response(answer.line, list(answer.headers))
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]
        clean(environ)
        environ["keyturn"] = answer if isinstance(answer, AcceptedKey) else None
        return self._app(environ, start_response)


def read(environ: Mapping[str, Any], *, path: str, whole: str, given: str | None = None) -> Request:
    """The request of an environment, in which headers of one name stand as one.

    `path` is what the application routes by, `whole` the same with the prefix that it is at, `given` the method that
    somebody has given the request since.
    """
    method = environ["REQUEST_METHOD"]
    given = given or method

    def texts(name: str) -> list[str]:
        value = environ.get(_HEADER + name)
        return [] if value is None else [value]

    otherwise = None
    if whole != path or given != method or not environ.keys().isdisjoint(_OVERRIDES):
        spoken = overridden(environ[name] for name in sorted(_OVERRIDES) if name in environ)
        otherwise = Otherwise(methods=(given, *spoken), whole=whole if whole != path else "")
    has_trailers = "HTTP_TRANSFER_ENCODING" in environ
    forwarded = [hop for one in texts("X_FORWARDED_FOR") for hop in (one.split(",") if has_trailers else [one])]
    return Request(
        method=method,
        path=path,
        query=environ.get("QUERY_STRING", ""),
        peer=environ.get("REMOTE_ADDR", ""),
        authorization=texts("AUTHORIZATION"),
        api_key=texts("X_API_KEY"),
        forwarded=[hop.encode("latin-1") for hop in forwarded],
        user_agent="".join(texts("USER_AGENT")),
        otherwise=otherwise,
        told_by="" if environ.keys().isdisjoint(_PATH_HEADERS) else "script-name",
        has_trailers=has_trailers,
    )


def clean(environ: dict[str, Any]) -> None:
    """Take away what only keyturn may say."""
    for name in [one for one in environ if one.startswith(_HEADER) and is_reserved(one.removeprefix(_HEADER))]:
        del environ[name]


def _read(environ: Mapping[str, Any]) -> Request:
    prefix = _text(environ.get("SCRIPT_NAME", ""))
    path = _text(environ.get("PATH_INFO", ""))
    return read(environ, path=path, whole=prefix + path)


def _text(latin: str) -> str:
    return latin.encode("latin-1").decode("utf-8", "replace") if latin else ""
