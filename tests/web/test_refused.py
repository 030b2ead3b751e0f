"""The page of a refusal: what it offers leads somewhere, and where waiting helps that is trying again."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx2
import pytest

from keyturn import wiring
from keyturn.api.app import build_app
from keyturn.ports.store import StoreUnavailable
from keyturn.settings import Settings
from keyturn.web.app import Dashboard
from keyturn.wiring import Node
from tests.web.person import Page


class _Broken:
    """A store that fails in one way."""

    def __init__(self, store: object, error: Exception) -> None:
        self._store = store
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def change(self, _flow: object) -> NoReturn:
        raise self._error

    read = glance = lookup = change


@pytest.fixture
def node(sqlite_url: str, tmp_path: Path) -> Iterator[Node]:
    with wiring.open_node(Settings(data=tmp_path / "data", database_url=sqlite_url)) as opened:
        yield opened


def broken(node: Node, error: Exception) -> Node:
    store: Any = _Broken(node.store, error)
    return dataclasses.replace(node, store=store)


def see(node: Node, path: str, **cookies: str) -> Page:
    app, _ = build_app(node, pages=Dashboard)

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", cookies=cookies) as client:
            return await client.get(path, headers={"accept": "text/html", "accept-language": "en"})

    return Page.of(asyncio.run(ask()))


@pytest.mark.parametrize("path", ["/keys", "/account/sessions"])
def test_a_page_that_cannot_be_shown_now_can_be_tried_again(node: Node, path: str) -> None:
    page = see(broken(node, StoreUnavailable()), path, keyturn="kts_somebody")
    assert (page.status, int(page.headers["retry-after"]) > 0) == (503, True)
    assert path in page.links
    assert "Not just now" in page.text
    assert "Try again" in page.text


def test_a_page_that_is_not_there_does_not_offer_itself_again(node: Node) -> None:
    page = see(node, "/nowhere")
    assert page.status == 404
    assert "/nowhere" not in page.links
    assert "Go to keyturn" in page.text


def test_a_bug_in_a_page_is_told_on_a_page_without_a_word_of_it(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    page = see(broken(node, RuntimeError("the mark")), "/keys", keyturn="kts_somebody")
    assert (page.status, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "Something went wrong here; it was noted" in page.text
    assert "the mark" not in page.html
    assert "RuntimeError" in caplog.text


def test_no_refusal_asks_the_database_in_the_thread_that_answers_everybody(node: Node) -> None:
    """It may say nothing for long."""
    asked: list[threading.Thread] = []

    class Noting(StoreUnavailable):
        def __init__(self) -> None:
            asked.append(threading.current_thread())

    store: Any = _Broken(node.store, StoreUnavailable())

    def glance(_query: object) -> NoReturn:
        raise Noting

    store.glance = glance
    page = see(dataclasses.replace(node, store=store), "/portal/keys", **{"keyturn-portal": "kts_somebody"})
    assert page.status == 503
    assert len(asked) == 2, "whose session it is, and whose portal it was"
    assert threading.current_thread() not in asked
