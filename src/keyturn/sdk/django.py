"""Django middleware: only requests whose key is accepted reach a view, in `request.keyturn` whose it is.

    MIDDLEWARE = ["keyturn.sdk.django.KeyturnMiddleware", ...]
    KEYTURN = {"urls": "https://keys.example.com", "credential_file": "verifier.key", "needs": "orders"}

`KEYTURN` holds the arguments of `Verifier`, or one made already as `verifier`, and those of `Admission`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse

from keyturn.sdk.admission import AcceptedKey, Admission, Answer, Problem, Request
from keyturn.sdk.asgi import cleaned
from keyturn.sdk.asgi import read as of_scope
from keyturn.sdk.asking import Asking
from keyturn.sdk.needs import OPEN
from keyturn.sdk.verifier import Verifier
from keyturn.sdk.wsgi import clean, read

__all__ = ["OPEN", "AcceptedKey", "KeyturnMiddleware"]

_OURS: Final = frozenset({"needs", "proxies", "realm", "problems"})


class KeyturnMiddleware:
    """Stands before the views, under WSGI and ASGI."""

    sync_capable: ClassVar = True
    async_capable: ClassVar = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._admission = admission(getattr(settings, "KEYTURN", {}))
        self._asking = Asking(self._admission)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:  # noqa: ANN401  # Django's own
        if self._is_async:
            return self._answer_later(request)
        answer = self._admission.admit(_read(request))
        return _refused(answer) if isinstance(answer, Problem) else self._get_response(_told(request, answer))

    async def _answer_later(self, request: Any) -> Any:  # noqa: ANN401  # as above
        answer = await self._asking.admit(_read(request))
        return _refused(answer) if isinstance(answer, Problem) else await self._get_response(_told(request, answer))


def admission(given: dict[str, Any]) -> Admission:
    """What decides by these settings.  Raises ImproperlyConfigured, or ValueError for what is none."""
    if "needs" not in given:
        raise ImproperlyConfigured("name in KEYTURN what a request needs, such as {'needs': 'orders', …}")
    ours = {name: value for name, value in given.items() if name in _OURS}
    others = {name: value for name, value in given.items() if name not in _OURS}
    return Admission(others.get("verifier") or Verifier(**others), **ours)


def _read(request: Any) -> Request:  # noqa: ANN401  # as above
    """Django finds the view by `path_info`.  Under ASGI each header stands by itself in the scope only."""
    asked = read(request.META, path=request.path_info, whole=request.path, given=request.method)
    scope = getattr(request, "scope", None)
    if scope is None:
        return asked
    lines = of_scope(scope, scope["headers"])
    return lines._replace(method=asked.method, path=asked.path, otherwise=asked.otherwise)


def _told(request: Any, answer: Answer) -> Any:  # noqa: ANN401  # as above
    clean(request.META)
    if hasattr(request, "scope"):
        request.scope = {**request.scope, "headers": cleaned(request.scope["headers"])}
    request.__dict__.pop("headers", None)  # made of the former, and kept by whoever has looked before
    request.keyturn = answer if isinstance(answer, AcceptedKey) else None
    return request


def _refused(problem: Problem) -> Any:  # noqa: ANN401  # as above
    return HttpResponse(problem.body, status=problem.status, headers=dict(problem.headers))
