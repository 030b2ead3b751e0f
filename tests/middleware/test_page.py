"""The Python of docs/howto/middleware.md runs as it stands, but for the address."""

import asyncio
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from keyturn.sdk.admission import AcceptedKey, Problem, Request
from keyturn.sdk.django import admission
from tests.middleware.conftest import Site

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "middleware.md"


def test_what_the_page_shows_works(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.credential.parent)
    made = site.keyturn.create(permissions=["orders:read"])
    text = PAGE.read_text("utf-8").replace("https://keys.example.com", site.keyturn.url)
    shown: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, PAGE.name, "exec"), shown)  # noqa: S102  # that is the test
    settings = shown["KEYTURN"]
    with shown["verifier"] as verifier:
        assert verifier.wait_until_leased(60)
        for key, status in ((made["secret"], HTTPStatus.OK), ("nonsense", HTTPStatus.UNAUTHORIZED)):
            for app in (shown["app"], shown["api"]):
                got, body = asyncio.run(_asgi(app, key))
                assert got == status
                assert status != HTTPStatus.OK or made["account_id"] in body
            answer = shown["site"].test_client().get("/orders", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
            assert status != HTTPStatus.OK or answer.text == made["account_id"]
            asked = Request("GET", "/orders", "", "127.0.0.1", [f"Bearer {key}"], [], [], "")
            decided = admission({"needs": settings["needs"], "verifier": verifier}).admit(asked)
            assert isinstance(decided, AcceptedKey if status == HTTPStatus.OK else Problem)
    assert set(settings) == {"urls", "credential_file", "needs"}


async def _asgi(app: Any, key: str) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Bearer {key}".encode())],
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]).decode()
