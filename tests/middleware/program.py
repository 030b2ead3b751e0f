"""The example applications of docs/howto/middleware, each in a process of its own."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from tests.ports import free_port
from tests.postgres import die_with_parent
from tests.serving import Answer

FOLDER: Final = Path(__file__).parents[2] / "docs" / "howto" / "middleware"
_UVICORN: Final = ("-m", "uvicorn", "--no-proxy-headers", "--port", "{port}", "--app-dir", str(FOLDER))
APPLICATIONS: Final[dict[str, Sequence[str]]] = {
    "asgi": (*_UVICORN, "asgi_app:app"),
    "fastapi": (*_UVICORN, "fastapi_app:app"),
    "wsgi": (str(FOLDER / "wsgi_app.py"), "{port}"),
    "wsgi, forked": ("-m", "tests.middleware.prefork", "{port}"),
    "flask": (str(FOLDER / "flask_app.py"), "{port}"),
    "django": (str(FOLDER / "django_app.py"), "{port}"),
    "django on asgi": (*_UVICORN, "django_app:asgi"),
}
_ROOT: Final = Path(__file__).parents[2]
_TELLER: Final = (*_UVICORN[:-1], str(_ROOT))
_GUNICORN: Final = (
    "-m",
    "gunicorn",
    "--bind",
    "127.0.0.1:{port}",
    "--no-control-socket",
    "--timeout",
    "0",
    "--chdir",
    str(FOLDER),
)
_OTHERS: Final[dict[str, Sequence[str]]] = {
    "teller": (*_TELLER, "tests.middleware.teller:app"),
    "fastapi teller": (*_TELLER, "tests.middleware.teller:api"),
    "patterns of fastapi": (*_TELLER, "tests.middleware.patterns:fastapi"),
    "patterns of django": (*_TELLER, "tests.middleware.patterns:django"),
    "told by asgi": (*_TELLER, "--http", "httptools", "tests.middleware.patterns:tell"),
    "told by fastapi": (*_TELLER, "--http", "httptools", "tests.middleware.patterns:api"),
    "flask on gunicorn": (*_GUNICORN, "flask_app:app"),
    "patterns of django on gunicorn": (*_GUNICORN[:-1], str(_ROOT), "tests.middleware.patterns:get_wsgi_application()"),
}
_READY_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Application:
    """One that is running."""

    name: str
    port: int

    def call(
        self,
        path: str = "/orders",
        *,
        key: str = "",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """One request, with the headers in their order."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path)
            for name, value in [*([("Authorization", f"Bearer {key}")] if key else []), *headers]:
                connection.putheader(name, value)
            connection.endheaders()
            got = connection.getresponse()
            lower = {name.lower(): value for name, value in got.getheaders()}
            return Answer(status=got.status, headers=lower, text=got.read().decode())
        finally:
            connection.close()


@contextmanager
def running(name: str, *, keyturn: Sequence[str], credential: Path, proxies: str = "") -> Iterator[Application]:
    """The application with this name, asking these nodes."""
    application = Application(name, free_port())
    environment = os.environ | {
        "KEYTURN_URL": " ".join(keyturn),
        "KEYTURN_CREDENTIAL_FILE": str(credential),
        "PROXIES": proxies,
    }
    words = [one.format(port=application.port) for one in (APPLICATIONS | _OTHERS)[name]]
    log = credential.with_name(f"{name}-{application.port}.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # one prctl call
        )
    try:
        _await_ready(application, process, log)
        yield application
    finally:
        process.terminate()
        process.wait(60)


def _await_ready(application: Application, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if application.call("/health").status == HTTPStatus.OK:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"the application did not start: {log.read_text(errors='replace')}")
