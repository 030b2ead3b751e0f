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

__all__ = ["OPEN", "AcceptedKey", "KeyturnMiddleware"]

_HEADER: Final = "HTTP_"


class KeyturnMiddleware(Middleware[WSGIApplication]):
    """Stands before an application; the arguments are those of `Admission`."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._admission.admit(read(environ, path=_path(environ)))
        if isinstance(answer, Problem):
            start_response(answer.line, list(answer.headers))
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]
        clean(environ)
        environ["keyturn"] = answer if isinstance(answer, AcceptedKey) else None
        return self._app(environ, start_response)


def read(environ: Mapping[str, Any], *, path: str) -> Request:
    """The request of an environment, in which headers of one name stand as one."""

    def texts(name: str) -> list[str]:
        value = environ.get(_HEADER + name)
        return [] if value is None else [value]

    return Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        query=environ.get("QUERY_STRING", ""),
        peer=environ.get("REMOTE_ADDR", ""),
        authorization=texts("AUTHORIZATION"),
        api_key=texts("X_API_KEY"),
        forwarded=[value.encode("latin-1") for value in texts("X_FORWARDED_FOR")],
        user_agent="".join(texts("USER_AGENT")),
    )


def clean(environ: dict[str, Any]) -> None:
    """Take away what only keyturn may say."""
    for name in [one for one in environ if one.startswith(_HEADER) and is_reserved(one.removeprefix(_HEADER))]:
        del environ[name]


def _path(environ: Mapping[str, Any]) -> str:
    whole: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return whole.encode("latin-1").decode("utf-8", "replace")
