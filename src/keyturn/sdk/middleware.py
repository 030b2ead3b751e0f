"""What a middleware of ASGI and one of WSGI are made with, alike."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from keyturn.sdk.admission import Admission
from keyturn.sdk.needs import Needs
from keyturn.sdk.verifier import Verifier

A = TypeVar("A")


class Middleware(Generic[A]):
    """Stands before an application; the arguments are those of `Admission`."""

    def __init__(
        self,
        app: A,
        verifier: Verifier,
        *,
        needs: Needs,
        proxies: Iterable[str] = (),
        realm: str = "api",
        problems: str = "",
    ) -> None:
        self._app = app
        self._admission = Admission(verifier, needs=needs, proxies=proxies, realm=realm, problems=problems)
