"""Asking from event loops, where no thread can be begun for a while."""

import asyncio
import threading
from http import HTTPStatus

import pytest

from keyturn.core.secret import RANDOM_CHARS, checksum
from keyturn.sdk import Verifier, asking
from keyturn.sdk.admission import AcceptedKey, Admission, Problem, Question
from keyturn.sdk.asking import Asking
from tests.sdk.verifying import served
from tests.serving import Serving


def test_places_are_free_again_once_threads_can_be_begun(
    server: Serving, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever found none is answered 503, keeps no place, and is asked about no more."""
    monkeypatch.setattr(asking, "_MOST_WAITING", 2)
    secret = server.create()["secret"]
    one = Asking(Admission(verifier, needs=()))
    fills = served(server).get("/v1/feed/fill", 0)

    async def refused() -> None:
        for at in range(4):
            text = f"kt_live_{at:0>{RANDOM_CHARS}}"
            answer = await one.answer(Question(text + checksum(text), (), None, ""))
            assert isinstance(answer, Problem)
            assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE

    threading.stack_size(1 << 50)  # more than there is
    try:
        asyncio.run(refused())
    finally:
        threading.stack_size(0)
    assert isinstance(asyncio.run(one.answer(Question(secret, (), None, ""))), AcceptedKey)
    assert served(server)["/v1/feed/fill"] == fills + 1
