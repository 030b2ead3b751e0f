"""A page of the operator's, on another port and so another origin, with the portal's element in it.

The demo's server has to know its origin beforehand (`KEYTURN_PORTAL_ORIGINS`), so the page takes its port when it is
made, and answers once it is told where keyturn is:

    page = OperatorPage()
    environment["KEYTURN_PORTAL_ORIGINS"] = page.origin
    with page.shown(client, account_id=…, user_id=…, name="Maria Lind"):
        …
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from keyturn.outside import clock
from keyturn.sdk.client import ApiError, Client, ServerUnreachable

HOST: Final = "127.0.0.1"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Meridian Exchange</title><link rel="stylesheet" href="/page.css">
<script type="module" src="{keyturn}/portal/element.js"></script><script src="/page.js" defer></script></head>
<body><header><strong>Meridian Exchange</strong><span>{name}</span></header>
<main><h1>Settings</h1>
<p>This page is the operator's, on another origin. {name} signed in here; what follows comes from keyturn.</p>
<keyturn-keys src="{link}" label="Your API keys"></keyturn-keys>
<p id="told" role="status"></p></main></body></html>
"""
_CSS: Final = """:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#fff, #10131c); color: light-dark(#1b2130, #e8ebf3); }
header { display: flex; justify-content: space-between; padding: 1rem 1.5rem; background: #1d3a8a; color: #fff; }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem; }
"""
_SCRIPT: Final = """const told = document.getElementById("told");
addEventListener("keyturn:reset", (event) => { told.textContent = "The page was told: reset " + event.detail.key; });
addEventListener("keyturn:ended", () => { told.textContent = "The page was told: closed. Load it again."; });
addEventListener("keyturn:blocked", () => { told.textContent = "Nothing can be shown here: use a link."; });
"""


_FILES: Final = {"/page.css": ("text/css", _CSS), "/page.js": ("text/javascript", _SCRIPT)}


class OperatorPage:
    """The page's server.  It listens at once, and answers while it is shown."""

    def __init__(self, *, port: int = 0) -> None:
        self._server = _Server(port)

    @property
    def origin(self) -> str:
        """Where it is, as browsers name it."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    @contextmanager
    def shown(self, keyturn: Client, *, account_id: str, user_id: str, name: str) -> Iterator[str]:
        """Answer until the block ends; every load of the page mints a portal for that person."""

        def page() -> str:
            minted = keyturn.create_portal_session(
                account_id,
                user_id=user_id,
                proofs=[("password", clock.now())],  # a real operator says when this person signed in
                embed_origin=self.origin,
            )
            keys_at = minted["url"].partition("/portal/")[0]
            return _PAGE.format(keyturn=escape(keys_at), name=escape(name), link=escape(minted["url"]))

        self._server.page = page
        thread = threading.Thread(target=self._server.serve_forever, name="operator page", daemon=True)
        thread.start()
        try:
            yield self.origin
        finally:
            self._server.shutdown()
            thread.join()
            self.close()

    def close(self) -> None:
        """Listen no more."""
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.page: Callable[[], str] = str
        super().__init__((HOST, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """One request: the page, its style or its script."""

    server: _Server

    def do_GET(self) -> None:  # the name is the standard library's
        """Answer it, to this machine under its own name only: no other site may read a link from it."""
        if self.headers.get("Host") != f"{HOST}:{self.server.server_address[1]}":
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "not here\n")
        elif self.path in _FILES:
            kind, text = _FILES[self.path]
            self._send(HTTPStatus.OK, kind, text)
        elif self.path == "/":
            try:
                self._send(HTTPStatus.OK, "text/html", self.server.page())
            except (ApiError, ServerUnreachable) as error:
                self._send(HTTPStatus.BAD_GATEWAY, "text/plain", f"{error}\n")
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "not here\n")

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the standard library's
        """Say nothing: the demo has its own words."""
