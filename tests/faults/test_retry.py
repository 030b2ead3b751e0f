"""F10: the node that stopped something is killed before it could answer; whoever asks again learns that it is final."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.attached import attached, until
from tests.postgres import Postgres
from tests.serving import Serving

ASKED: dict[str, Callable[[Serving, str], tuple[str, dict[str, Any]]]] = {
    "suspend": lambda _, key: (f"/v1/keys/{key}/suspend", {}),
    "revoke": lambda _, key: (f"/v1/keys/{key}/revoke", {}),
    "reset": lambda _, key: (f"/v1/keys/{key}/resets", {"reason": "leaked"}),
    "stop now": lambda node, key: (
        f"/v1/resets/{node.call(f'/v1/keys/{key}/resets', {'reason': 'routine', 'grace': '1h'}).body['id']}/finish",
        {},
    ),
}


@pytest.fixture
def node(tmp_path: Path, postgres_server: Postgres) -> Iterator[Serving]:
    with databases.postgres_empty(postgres_server) as url:
        one = Serving(folder=tmp_path / "data", database_url=url)
        try:
            yield one.start()
        finally:
            one.kill()


@pytest.mark.parametrize("asked", ASKED)
def test_f10_killed_after_its_commit_a_retry_waits_again_and_is_confirmed(
    node: Serving, tmp_path: Path, asked: str
) -> None:
    file = tmp_path / "verifier.key"
    file.write_text(node.create(permissions=["keyturn.attach", "keyturn.verify"])["secret"])
    made = node.create()
    path, body = ASKED[asked](node, made["id"])
    with attached(node.url, file) as verifier:
        assert verifier.verify(made["secret"]) == "valid"
        verifier.freeze()
        lost = in_the_background(lambda: node.call(path, body, headers={"Idempotency-Key": "once"}))
        fence = until(lambda: node.call("/v1/fleet").body["fences"])[0]
        node.kill()
        lost.join()
        node.start()
        again = node.call(path, body, headers={"Idempotency-Key": "once"})
        assert again.status in {200, 201}, again.text
        receipt = again.body["receipt"]
        assert receipt["confirmed"]
        assert receipt["rev"] >= fence["rev"]
        assert again.body.get("secret") is None, "whoever lost it resets again (R15)"
        verifier.thaw()
        assert verifier.verify(made["secret"]) != "valid"


def in_the_background(call: Callable[[], object]) -> threading.Thread:
    """A call whose answer is lost."""

    def run() -> None:
        with suppress(OSError, HTTPException):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
