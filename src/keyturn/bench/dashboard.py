"""How long a page of the dashboard takes, and how much a browser loads before it can be used."""

import gzip
import http.client
import json
import re
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from keyturn.bench.figure import Figure, interleaved
from keyturn.bench.start import server

KEYS: Final = 50
PAGE_REACH: Final = 50.0
LOAD_REACH: Final = 100_000
_PASSWORD: Final = "what the bench signs in with"  # noqa: S105  # of a server that lives for a minute
_PARTS: Final = re.compile(rb'(?:src|href)="(/static/[^"]+)"')


def figures(*, rounds: int) -> list[Figure]:
    """**API Keys** with fifty keys beside a bare answer, and the first load beside its page alone."""
    with tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder, server(Path(folder) / "data") as (port, file):
        browser = _Browser(port)
        browser.cookie = f"keyturn={_seed(browser, file.read_text('ascii').strip())}"
        assert browser.get("/keys").count(b"Reset API Key: ") == KEYS  # noqa: S101  # else something else was measured
        page, bare = interleaved(
            partial(browser.seconds, "/keys"), partial(browser.seconds, "/livez"), rounds=rounds * 10
        )
        loaded, alone = _first_load(browser)
    return [
        Figure(
            name=f"dashboard, API Keys with {KEYS} keys",
            ours=page * 1e3,
            floor=bare * 1e3,
            unit="ms",
            floor_name="a bare answer",
            reach=PAGE_REACH,
            absolute=True,
        ),
        Figure(
            name="dashboard, first load compressed",
            ours=loaded,
            floor=alone,
            unit="bytes",
            floor_name="its page alone",
            reach=LOAD_REACH,
            absolute=True,
        ),
    ]


class _Browser:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.cookie = ""

    def get(self, path: str) -> bytes:
        """What stands there."""
        self._connection.request("GET", path, headers={"Cookie": self.cookie, "Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == http.HTTPStatus.OK, (path, answer.status)  # noqa: S101  # as above
        return body

    def seconds(self, path: str) -> float:
        """How long one answer takes."""
        began = time.perf_counter()
        self.get(path)
        return time.perf_counter() - began

    def call(self, path: str, wish: object, key: str = "") -> dict[str, Any]:
        """What the API makes of a wish."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._connection.request("POST", path, json.dumps(wish).encode(), headers)
        answer = self._connection.getresponse()
        made: dict[str, Any] = json.loads(answer.read())
        assert answer.status == http.HTTPStatus.CREATED, made  # noqa: S101  # as above
        return made


def _seed(browser: _Browser, admin_key: str) -> str:
    """An account with its keys; the answer is a session's token."""
    account = browser.call("/v1/accounts", {"name": "Bench"}, admin_key)["id"]
    person = {"email": "bench@keyturn.example", "name": "Bench", "role": "owner", "password": _PASSWORD}
    owner = browser.call("/v1/users", person | {"account_id": account}, admin_key)["id"]
    for number in range(KEYS):
        wish = {"name": f"program {number}", "permissions": ["orders:write"], "allowlist": ["192.0.2.0/24"]}
        browser.call("/v1/keys", wish | {"account_id": account, "owner_id": owner}, admin_key)
    token: str = browser.call("/v1/sessions", {"user": person["email"], "password": _PASSWORD})["token"]
    return token


def _first_load(browser: _Browser) -> tuple[int, int]:
    """Bytes on the wire of a reset's page with every script, style and picture; and of the page alone."""
    page = gzip.compress(browser.get("/keys"), 6)
    named = {part.decode() for part in _PARTS.findall(browser.get("/keys"))}
    tags = {path.rpartition("/")[0].rpartition("/")[0] for path in named}
    assert tags == {"/static"}, tags  # noqa: S101  # else something is loaded from elsewhere
    # What later pages add: the live view, the CAPTCHA with its style and worker, passkeys.
    later = {f"/static/any/{name}" for name in ("htmx.min.js", "altcha.min.js", "altcha.css", "altcha-sha.js")}
    return len(page) + sum(len(browser.get(path)) for path in named | later), len(page)
