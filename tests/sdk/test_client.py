"""The client for other programs: what it sends, what it repeats, what it never tells, and that it mirrors the API."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from keyturn.sdk.calls import Calls
from keyturn.sdk.client import ApiError, AsyncClient, BadArgument, Client, InsecureAddress, ServerUnreachable
from tests.serving import Serving
from tests.signing import Pair

KEY = "kt_live_marker0marker"
URL = "http://127.0.0.1:8787"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    server = Serving(folder=tmp_path_factory.mktemp("sdk") / "data").start()
    yield server
    server.kill()


@pytest.fixture
def client(served: Serving) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{served.port}", key=served.admin_key) as client:
        yield client


class Script:
    """A transport that answers as written, and keeps what it was sent."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.sent: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self)


def away() -> httpx2.Response:
    return httpx2.Response(503, headers={"Retry-After": "0"}, json={"code": "busy", "title": "Busy.", "detail": "d"})


def test_a_key_s_life(client: Client) -> None:
    key = client.create_key("bot", permissions=["orders:write"], limit="100/1m")
    assert client.verify(key["secret"], permissions=["orders:write"])["code"] == "valid"
    assert client.get_key(key["id"])["version"] == 1
    assert key["id"] in {one["id"] for one in client.list_keys()["items"]}
    edited = client.edit_key(key["id"], name="other", limit=None)
    assert (edited["name"], edited["limit"], edited["permissions"]) == ("other", None, ["orders:write"])
    reset = client.reset_key(key["id"], reason="routine", grace=timedelta(hours=1), expected_version=1)
    assert reset["receipt"]["confirmed"] is True
    assert client.verify(key["secret"])["code"] == "valid"
    assert client.finish_reset(reset["id"])["id"] == reset["id"]
    assert client.verify(key["secret"])["code"] == "replaced"
    assert client.get_reset(reset["id"])["new_version"] == 2
    assert [one["id"] for one in client.list_resets(key_id=key["id"])["items"]] == [reset["id"]]
    assert client.suspend_key(key["id"], reason="odd")["status"] == "suspended"
    assert client.resume_key(key["id"])["status"] == "active"
    assert client.revoke_key(key["id"])["status"] == "revoked"
    actions = {one["action"] for one in client.list_audit(subject_id=key["id"])["items"]}
    assert {"key.created", "key.edited", "key.revoked"} <= actions


def test_people_accounts_and_policies(client: Client, served: Serving) -> None:
    account = client.create_account("Northwind", max_keys_per_user=3, policy="kraken")
    assert client.edit_account(account["id"], policy=None)["policy"] is None
    assert client.get_account(account["id"])["max_keys_per_user"] == 3
    assert account["id"] in {one["id"] for one in client.list_accounts()["items"]}
    user = client.create_user("maria@example.com", name="Maria", role="owner", account_id=account["id"])
    assert client.set_password(user["id"], "a long enough password")["id"] == user["id"]
    assert client.get_user(user["id"])["email"] == "maria@example.com"
    assert [one["id"] for one in client.list_users(account_id=account["id"])["items"]] == [user["id"]]
    session = client.sign_in("maria@example.com", "a long enough password")
    with Client(f"http://127.0.0.1:{served.port}", key=session["token"]) as maria:
        key = maria.create_key("hers")
        asked = maria.reset_key(key["id"], reason="leaked")
        assert asked["missing"]
        assert maria.prove_reset(asked["id"], kind="password", password="a long enough password")["proofs"]
        assert maria.cancel_reset(asked["id"])["stage"] == "ended"
        assert maria.sign_out() == {}
    assert client.suspend_account(account["id"], reason="x")["receipt"]["confirmed"] is True
    assert client.get_policy("binance")["preset"] is True
    assert client.apply_policy("mine", base="binance", fields={"max_age": "9d"}, dry_run=True)["impact"]["keys"] == 0
    assert client.apply_policy("mine", base="binance", fields={"max_age": "9d"})["version"] == 1
    assert client.explain_policy(account_id=account["id"])["policy"] == "tradingonramp"
    assert "mine" in {one["name"] for one in client.list_policies()["items"]}


def test_a_key_speaks_for_itself(client: Client, served: Serving) -> None:
    client.apply_policy("selfish", base="tradingonramp", fields={"self_reset": "allowed"})
    key = client.create_key("bot", policy="selfish")
    with Client(f"http://127.0.0.1:{served.port}", key=key["secret"]) as itself:
        assert itself.get_self()["id"] == key["id"]
        fresh = itself.reset_self(grace="1h")["secret"]
        assert itself.revoke_self()["status"] == "revoked"
    assert client.verify(fresh)["code"] == "revoked"


def test_r42_what_customers_bring(client: Client) -> None:
    first, second, third = Pair(), Pair(), Pair()
    made = client.create_key("signs", label="sdk", public_key=first.pem)
    assert (made["kind"], made["label"], made["secret"]) == ("public_key", "sdk", None)
    reset = client.reset_key(made["id"], reason="routine", grace="1h", public_key=second.base64)
    assert reset["stage"] == "minted"
    waits = client.reset_key(made["id"], reason="routine")
    assert client.mint_reset(waits["id"], public_key=third.pem)["stage"] == "minted"
    asked = third.sign(made["id"], created=int(datetime.now(UTC).timestamp()))
    assert client.verify(signed=asked)["code"] == "valid"
    assert client.verify(key_sha256="0" * 64, label="nobody")["code"] == "unknown"
    with pytest.raises(ApiError) as refused:
        client.create_key("own", label="sdk", own_secret="x" * 40)
    assert refused.value.code == "own_secret_forbidden"


def test_with_asyncio(served: Serving) -> None:
    async def story() -> None:
        async with AsyncClient(f"http://127.0.0.1:{served.port}", key_file=served.folder / "admin.key") as client:
            key = await client.create_key("bot")
            first, second = await asyncio.gather(client.verify(key["secret"]), client.get_key(key["id"]))
            assert first["code"] == "valid"
            assert second["id"] == key["id"]
            with pytest.raises(ApiError) as refused:
                await client.get_key("key_nobodys")
            assert (refused.value.code, refused.value.status) == ("not_found", 404)

    asyncio.run(story())


def test_a_replay_is_told_and_shows_no_secret(client: Client) -> None:
    first = client.create_key("bot", idempotency_key="the-same")
    second = client.create_key("bot", idempotency_key="the-same")
    assert second["id"] == first["id"]
    assert (second["secret"], second["secret_shown"]) == (None, True)
    with pytest.raises(ApiError) as refused:
        client.create_key("another", idempotency_key="the-same")
    assert refused.value.code == "idempotency_key_reused"


def test_a_refusal_has_its_code_and_its_fields(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.create_key("bot", permissions=["nonsense"])
    assert (refused.value.status, refused.value.code) == (422, "invalid_field")
    assert refused.value.fields["field"].startswith("permissions")


REPEATED: dict[str, Callable[[Client], Any]] = {
    "a read": lambda client: client.get_key("key_x"),
    "a new key, under its Idempotency-Key": lambda client: client.create_key("bot"),
    "a reset, under its Idempotency-Key": lambda client: client.reset_key("key_x", reason="routine"),
    "a proof, under its Idempotency-Key": lambda client: client.prove_reset("rst_x", kind="password", password="p"),
    "minting, under its Idempotency-Key": lambda client: client.mint_reset("rst_x"),
}
NOT_REPEATED: dict[str, Callable[[Client], Any]] = {
    "an edit": lambda client: client.edit_key("key_x", name="y"),
    "a new user": lambda client: client.create_user("a@example.com"),
    "finish": lambda client: client.finish_reset("rst_x"),
    "a verification": lambda client: client.verify("kt_x"),
}


def done() -> httpx2.Response:
    return httpx2.Response(200, json={"id": "x"})


@pytest.mark.parametrize("call", REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize("trouble", [away(), httpx2.ReadTimeout("late"), httpx2.ConnectError("refused")])
def test_what_cannot_happen_twice_is_sent_again(
    call: Callable[[Client], Any], trouble: httpx2.Response | Exception
) -> None:
    script = Script(trouble, done())
    assert call(Client(URL, key=KEY, transport=script.transport)) == {"id": "x"}
    first, second = script.sent
    assert first.headers.get("Idempotency-Key") == second.headers.get("Idempotency-Key")
    assert first.content == second.content


@pytest.mark.parametrize("call", NOT_REPEATED.values(), ids=NOT_REPEATED)
def test_what_could_happen_twice_is_sent_once(call: Callable[[Client], Any]) -> None:
    lost = Script(httpx2.ReadTimeout("late"), done())
    with pytest.raises(ServerUnreachable) as gone:
        call(Client(URL, key=KEY, transport=lost.transport))
    assert not gone.value.never_sent
    assert len(lost.sent) == 1
    busy = Script(away(), done())
    with pytest.raises(ApiError):
        call(Client(URL, key=KEY, transport=busy.transport))
    refused = Script(httpx2.ConnectError("refused"), done())
    assert call(Client(URL, key=KEY, transport=refused.transport)) == {"id": "x"}, "it never left, so it may go again"


def test_it_gives_up_after_its_retries() -> None:
    script = Script(*(away() for _ in range(9)))
    with pytest.raises(ApiError) as refused:
        Client(URL, key=KEY, transport=script.transport, retries=3).get_self()
    assert refused.value.code == "busy"
    assert len(script.sent) == 4


def test_asyncio_repeats_alike() -> None:
    script = Script(away(), done())

    async def story() -> Any:
        async with AsyncClient(URL, key=KEY, transport=script.transport) as client:
            return await client.create_key("bot")

    assert asyncio.run(story()) == {"id": "x"}
    assert script.sent[0].headers["Idempotency-Key"] == script.sent[1].headers["Idempotency-Key"]


def test_a_key_goes_over_plain_http_to_this_machine_only() -> None:
    for url in ("http://keys.example.com", "http://192.0.2.1:8787", "http://localhost.example.com"):
        with pytest.raises(InsecureAddress):
            Client(url, key=KEY)
        with pytest.raises(InsecureAddress):
            AsyncClient(url, key=KEY)
        Client(url, key=KEY, allow_plain_http=True).close()
    for url in ("http://localhost:1", "http://127.0.0.2", "http://[::1]:8787", "https://keys.example.com"):
        Client(url, key=KEY).close()


def test_an_address_that_is_none_is_refused_without_repeating_a_secret() -> None:
    for url in ("", "keys.example.com", "ftp://x", "https://me:marker0@example.com", "https://example.com?key=marker0"):
        with pytest.raises(ValueError, match="address") as refused:
            Client(url, key=KEY)
        assert "marker0" not in str(refused.value)


def test_no_repr_and_no_error_tells_the_key(tmp_path: Path) -> None:
    script = Script(httpx2.ReadTimeout("late"))
    client = Client(URL, key=KEY, transport=script.transport)
    with pytest.raises(ServerUnreachable) as gone:
        client.finish_reset("rst_x")
    shown = repr(client) + repr(AsyncClient(URL, key=KEY)) + repr(gone.value) + repr(client.__dict__)
    assert "marker0" not in shown
    with pytest.raises(ValueError, match="as the key") as refused:
        Client(URL, key="marker0\nHost: x")
    assert "marker0" not in str(refused.value)


def test_a_key_file_is_read_once_and_not_together_with_a_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    script = Script(done())
    Client(URL, key_file=file, transport=script.transport).get_self()
    assert script.sent[0].headers["Authorization"] == f"Bearer {KEY}"
    with pytest.raises(ValueError, match="not both"):
        Client(URL, key=KEY, key_file=file)


def test_ids_and_values_arrive_as_they_are() -> None:
    script = Script(*(done() for _ in range(4)))
    client = Client(URL, key=KEY, transport=script.transport)
    client.get_key("../v1/accounts?x=1")
    assert script.sent[0].url.raw_path == b"/v1/keys/..%2Fv1%2Faccounts%3Fx%3D1"
    client.edit_key("key_x", expires_at=datetime(2031, 1, 1, tzinfo=UTC))
    assert script.sent[1].content == b'{"expires_at":"2031-01-01T00:00:00Z"}'
    client.edit_key("key_x", expires_at=None, policy=None)
    assert script.sent[2].content == b'{"expires_at":null,"policy":null}'
    for wrong in ("", ".", ".."):
        with pytest.raises(ValueError, match="id"):
            client.get_key(wrong)
    with pytest.raises(BadArgument, match="Idempotency-Key"):
        client.create_key("x", idempotency_key="with a space")
    with pytest.raises(ValueError, match="time zone"):
        client.edit_key("key_x", expires_at=datetime(2031, 1, 1))  # noqa: DTZ001  # that is the mistake
    with pytest.raises(TypeError):
        client.create_key("x", permissions="orders:read")


def test_an_answer_that_is_no_problem_document_is_an_error_all_the_same() -> None:
    script = Script(httpx2.Response(502, text="<html>"))
    with pytest.raises(ApiError) as refused:
        Client(URL, key=KEY, transport=script.transport, retries=0).get_self()
    assert (refused.value.code, refused.value.status) == ("http_502", 502)


def test_every_call_of_the_api_has_its_method(client: Client) -> None:
    sent: set[tuple[str, str]] = set()

    def note(request: httpx2.Request) -> httpx2.Response:
        sent.add((request.method, request.url.path))
        return httpx2.Response(200, json={})

    recorder = Client(URL, key=KEY, transport=httpx2.MockTransport(note))
    for name, method in inspect.getmembers(recorder, inspect.ismethod):
        if hasattr(Calls, name) and name != "send" and not name.startswith("_"):
            wanted = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
            method(**{one.name: "x" for one in wanted})
    described = client._http.get(f"{client._connection.url}/openapi.json").json()["paths"]
    offered = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path))
        for path, methods in described.items()
        for method in methods
        if path.startswith("/v1/") and not path.startswith(("/v1/authz", "/v1/feed"))  # gateways', and the Verifier's
    }
    by_ours = {(method, "/".join("*" if part == "x" else part for part in path.split("/"))) for method, path in sent}
    assert offered <= by_ours, offered - by_ours


def test_importing_the_package_imports_no_http_client() -> None:
    program = "import sys, keyturn.sdk; sys.exit('httpx2' in sys.modules); keyturn.sdk.Client"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    from keyturn import sdk  # noqa: PLC0415  # as a user writes it

    assert sdk.Client is Client
    with pytest.raises(AttributeError):
        _ = sdk.Nonsense
