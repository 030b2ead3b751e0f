"""`keyturn.sdk.Verifier` before a real server: what its documentation says, and what none may do (F3, F10, F12)."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from keyturn.core.secret import RANDOM_CHARS, checksum
from keyturn.core.share import Rest, Share, Wish
from keyturn.sdk import Client, LeaseLapsed, NodeUnavailable, NotAllowed, Verifier
from keyturn.sdk.asgi import KeyturnMiddleware
from keyturn.sdk.client import is_loopback_url
from keyturn.sdk.clock import boot_micros
from keyturn.sdk.needs import finder
from tests.gateways.program import free_port
from tests.serving import Serving
from tests.signing import Pair

LONG: Final = 60.0


def until(holds: Callable[[], object]) -> None:
    """Wait for what must come."""
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    one = Serving(folder=tmp_path_factory.mktemp("verifier") / "data").start()
    account = one.call("/v1/accounts").body["items"][-1]["id"]
    one.call(f"/v1/accounts/{account}", {"max_keys_per_user": 100_000}, method="PATCH")
    yield one
    one.kill()


@pytest.fixture(scope="module")
def credential(server: Serving) -> str:
    secret: str = server.create(name="verifier", permissions=["keyturn.attach"])["secret"]
    return secret


@pytest.fixture
def verifier(server: Serving, credential: str) -> Iterator[Verifier]:
    with Verifier(server.url, credential) as one:
        assert one.wait_until_leased(LONG)
        yield one


def lapse(verifier: Verifier) -> None:
    """Hear nothing from the authority any more, and for longer than the lease."""
    verifier._attachment.stop()
    verifier._holder.deadline = boot_micros() - 1


def reset(server: Serving, key_id: str) -> dict[str, Any]:
    body: dict[str, Any] = server.call(f"/v1/keys/{key_id}/resets", {"reason": "leaked"}).body
    return body


def test_f0_a_confirmed_reset_is_final_here(server: Serving, verifier: Verifier) -> None:
    made = server.create(permissions=["orders:write"])
    verdict = verifier.verify(made["secret"], permission="orders:read")
    seen = verdict.view
    assert (verdict.code, seen and seen.key_id, verdict.profile.permissions) == ("valid", made["id"], ("orders:write",))
    done = reset(server, made["id"])
    assert done["receipt"]["confirmed"] is True
    assert done["receipt"]["verifiers"]["acknowledged"] >= 1
    for _ in range(2):
        assert verifier.verify(made["secret"]).code == "replaced"
        assert verifier.verify(done["secret"], permission="orders:read")


NOBODYS: Final = "kt_live_" + "0" * RANDOM_CHARS
WISHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "one permission": ({"permissions": ["a:read"]}, {"permission": "a:read"}, "valid"),
    "all of several": ({"permissions": ["a:read", "b:admin"]}, {"permission": ["a:read", "b:write"]}, "valid"),
    "not one of several": ({"permissions": ["a:read"]}, {"permission": ("a:read", "b:read")}, "permission_missing"),
    "more than it holds": ({"permissions": ["a:read"]}, {"permission": "a:write"}, "permission_missing"),
    "from a listed address": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "192.0.2.9"}, "valid"),
    "the same, mapped": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "::ffff:192.0.2.9"}, "valid"),
    "from another": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "198.51.100.1"}, "ip_not_allowed"),
    "from none": ({"allowlist": ["192.0.2.0/24"]}, {}, "ip_not_allowed"),
}


@pytest.mark.parametrize("story", WISHES)
@pytest.mark.parametrize("leased", [True, False], ids=["leased", "asked"])
def test_pitfall_5_it_decides_alike_from_memory_and_by_a_node(
    server: Serving, verifier: Verifier, story: str, *, leased: bool
) -> None:
    wish, asked, code = WISHES[story]
    secret = server.create(**wish)["secret"]
    if not leased:
        lapse(verifier)
    verdicts = [verifier.verify(secret, **asked) for _ in range(2)]
    assert [one.code for one in verdicts] == [code, code]
    assert bool(verdicts[0]) is (code == "valid")
    warm = verifier.verify_warm(secret, **asked)
    assert (None if warm is None else warm.code) == (code if leased else None)


def test_what_is_no_permission_and_no_address_is_said(verifier: Verifier) -> None:
    for ask in (verifier.verify, verifier.verify_warm):
        for wrong in ({"permission": "orders"}, {"ip": "nowhere"}, {"ip": ""}, {"permission": ["a:read", "b"]}):
            with pytest.raises(ValueError, match="not a"):
                ask("x", **wrong)


def test_strangers(verifier: Verifier) -> None:
    assert verifier.verify("nonsense").code == "malformed"
    assert verifier.verify("\ud800").code == "malformed"
    assert verifier.verify(NOBODYS + checksum(NOBODYS)).code == "unknown"


def test_pitfall_14_a_key_just_made_is_accepted_at_once(server: Serving, verifier: Verifier) -> None:
    for _ in range(20):
        assert verifier.verify(server.create()["secret"]).code == "valid"


def test_memory_alone_answers_or_says_that_a_node_has_to(server: Serving, verifier: Verifier) -> None:
    secret = server.create()["secret"]
    limited = server.create(limit="1000/1h")["secret"]
    assert verifier.verify_warm(secret) is None
    assert verifier.verify(secret)
    assert verifier.verify_warm(secret)
    assert verifier.verify(limited)
    assert verifier.verify_warm(limited) is None, "of what is used so little, one request is borrowed at a time"


def test_f3_ask_is_answered_by_a_node_while_there_is_no_lease(server: Serving, verifier: Verifier) -> None:
    made = server.create(permissions=["a:read"])
    assert verifier.verify(made["secret"])
    lapse(verifier)
    assert verifier.lease == 0
    assert verifier.verify(made["secret"], permission="a:read", ip="192.0.2.1", user_agent="x")
    assert verifier.verify("nonsense").code == "malformed"
    done = reset(server, made["id"])
    replaced = verifier.verify(made["secret"])
    assert (replaced.code, replaced.view and replaced.view.key_id) == ("replaced", made["id"])
    assert verifier.verify(done["secret"])


def test_f3_refuse_answers_nothing_without_a_lease(server: Serving, credential: str) -> None:
    secret = server.create()["secret"]
    with Verifier(server.url, credential, on_lapse="refuse") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(secret)
        lapse(verifier)
        for ask in (verifier.verify, verifier.verify_warm):
            with pytest.raises(LeaseLapsed):
                ask(secret)


def test_f12_stale_goes_on_for_that_long_and_no_reset_is_confirmed(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data").start()  # its own: an hour long none of its resets is confirmed
    made = server.create()
    credential = server.create(permissions=["keyturn.attach"])["secret"]
    try:
        with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
            assert verifier.wait_until_leased(LONG)
            assert verifier.verify(made["secret"])
            done = reset(server, made["id"])
            receipt = done["receipt"]
            assert (receipt["confirmed"], receipt["verifiers"]["unleased"]) == (False, [verifier.instance])
            assert verifier.verify(done["secret"])
            lapse(verifier)
            reset(server, made["id"])
            assert verifier.verify(done["secret"]).code == "valid"  # what was chosen
            verifier._holder.deadline = boot_micros() - 3_600_000_000
            with pytest.raises(LeaseLapsed):
                verifier.verify(done["secret"])
    finally:
        server.kill()


@pytest.mark.parametrize("chosen", ["", "stale", "stale:", "stale:0s", "stale:5", "stale:25h", "open"])
def test_how_to_go_on_without_a_lease_is_one_of_three(chosen: str) -> None:
    with pytest.raises(ValueError, match=r"on_lapse|duration"):
        Verifier("http://127.0.0.1:1", "kt_x", on_lapse=chosen)


def test_a_closed_verifier_answers_nothing(server: Serving, credential: str) -> None:
    secret = server.create()["secret"]
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(secret)
    with pytest.raises(LeaseLapsed):
        verifier.verify(secret)


def test_f0_threads_share_it_while_keys_are_reset(server: Serving, verifier: Verifier) -> None:
    """No call that begins after a confirmed reset has returned accepts the old secret, in whichever thread."""
    made = server.create()
    current, ended = [made["secret"]], dict[str, float]()
    wrong, answered, done = list[str](), [0] * 4, threading.Event()

    def hammer(at: int) -> None:
        while not done.is_set():
            for secret in list(current)[-3:]:
                began = time.monotonic()
                if verifier.verify(secret) and began > ended.get(secret, began):
                    wrong.append(secret)
                answered[at] += 1

    threads = [threading.Thread(target=hammer, args=(at,)) for at in range(len(answered))]
    for thread in threads:
        thread.start()
    for _ in range(20):
        minted = reset(server, made["id"])
        assert minted["receipt"]["confirmed"] is True
        ended[current[-1]] = time.monotonic()
        current.append(minted["secret"])
        before = list(answered)
        until(lambda: all(now > then for now, then in zip(answered, before, strict=True)))  # noqa: B023  # asked at once
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


FORKS: Final = """
import json, os, sys
from keyturn.sdk import Verifier
url, credential, secret = sys.argv[1:]
verifier = Verifier(url, credential)
assert verifier.wait_until_leased(60) and verifier.verify(secret)
told = []
for _ in range(2):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        empty = verifier.verify_warm(secret) is None and not verifier._nodes._idle
        assert verifier._holder._name.endswith(f"/{os.getpid()}")
        leased = verifier.wait_until_leased(60)
        code = verifier.verify(secret).code
        answer = [verifier.instance, empty, leased, code, verifier.verify_warm(secret) is not None]
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told.append(json.loads(os.read(reading, 4096)))
told.append([verifier.instance, True, True, verifier.verify(secret).code, verifier.verify_warm(secret) is not None])
print(json.dumps(told))
verifier.close()
"""


def test_f10_a_child_begins_anew_and_its_parent_goes_on(server: Serving, credential: str) -> None:
    secret = server.create()["secret"]
    done = subprocess.run(
        [sys.executable, "-c", FORKS, server.url, credential, secret], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one[1:] for one in told] == [[True, True, "valid", True]] * 3
    assert len({one[0] for one in told}) == 3


def test_of_several_nodes_a_dead_one_is_passed_over(server: Serving, credential: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    secret = server.create()["secret"]
    for urls in ([dead, server.url], [server.url, dead]):
        with Verifier(urls, credential) as verifier:
            assert verifier.verify(secret)
            assert verifier.wait_until_leased(LONG)
            assert verifier.node == server.url
            assert verifier.verify(secret)


def test_with_no_node_there_is_no_answer_until_one_comes(server: Serving, credential: str) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    secret = server.create()["secret"]
    with Verifier(dead, credential) as verifier:
        assert not verifier.wait_until_leased(0)
        with pytest.raises(NodeUnavailable):
            verifier.verify(secret)
        assert (verifier.node, verifier.refused) == ("", "")


def test_a_node_that_is_killed_is_missed_when_the_lease_ends_and_found_again(tmp_path: Path) -> None:
    port = str(free_port())
    server = Serving(folder=tmp_path / "data", flags=("--port", port)).start()
    try:
        made = server.create()
        credential = server.create(permissions=["keyturn.attach"])["secret"]
        with Verifier(server.url, credential) as verifier:
            assert verifier.wait_until_leased(LONG)
            assert verifier.verify(made["secret"])
            server.kill()
            assert verifier.verify(made["secret"])
            assert verifier.lease > 0

            def lapsed() -> bool:
                try:
                    verifier.verify(made["secret"])
                except NodeUnavailable:
                    return True
                return False

            until(lapsed)
            assert verifier.lease == 0
            server.start()
            until(lambda: verifier.lease > 0)
            assert verifier.verify(made["secret"])
            done = reset(server, made["id"])
            assert done["receipt"]["confirmed"] is True
            assert verifier.verify(made["secret"]).code == "replaced"
            assert verifier.verify(done["secret"])
    finally:
        server.kill()


def test_a_connection_that_the_node_has_closed_is_opened_again(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data", flags=("--port", str(free_port()))).start()
    try:
        first, second = (server.create()["secret"] for _ in range(2))
        credential = server.create(permissions=["keyturn.attach"])["secret"]
        with Verifier(server.url, credential) as verifier:
            assert verifier.verify(first)
            server.kill()
            server.start()
            assert verifier.verify(second)
    finally:
        server.kill()


def test_a_credential_that_may_not_attach_is_named(server: Serving) -> None:
    account = server.call("/v1/accounts", {"name": "customer"}).body["id"]
    owner = {"email": f"{account}@example.com", "account_id": account, "role": "owner"}
    assert server.call("/v1/users", owner).status == HTTPStatus.CREATED
    theirs = server.create(account_id=account, permissions=["keyturn.attach"])["secret"]
    weaker = server.create(permissions=["keyturn.verify"])["secret"]
    secret = server.create()["secret"]
    for shown, code in (
        ("nonsense", "unauthenticated"),
        (theirs, "permission_missing"),
        (weaker, "permission_missing"),
    ):
        with Verifier(server.url, shown) as verifier:
            with pytest.raises(NotAllowed) as raised:
                # Two of them may ask about some keys, but none may have a key to keep.
                verifier._memory.verify_cold(sha256(secret.encode()).digest(), _find(verifier), now=0)
            until(lambda: verifier.refused)  # asked at once
            assert (raised.value.code, verifier.refused, verifier.lease) == (code, code, 0)
            assert shown not in f"{raised.value} {verifier!r}"


def _find(verifier: Verifier) -> Any:
    from keyturn.sdk.attachment import filler  # noqa: PLC0415  # only here

    return filler(verifier._nodes, verifier._memory, label="")


def test_a_credential_that_is_revoked_ends_the_lease(server: Serving) -> None:
    made = server.create(permissions=["keyturn.attach"])
    secret = server.create()["secret"]
    with Verifier(server.url, made["secret"]) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(secret)
        assert server.call(f"/v1/keys/{made['id']}/revoke", {}).status == HTTPStatus.OK
        until(lambda: verifier.refused)
        until(lambda: verifier.lease == 0)
        with pytest.raises(NotAllowed):
            verifier.verify(secret)


_FEED: Final = {"/v1/feed", "/v1/feed/fill", "/v1/feed/share"}
ITS_WORK: Final = _FEED | {"/v1/verify", "/v1/self", "/v1/self/reset", "/v1/self/revoke"}


def test_a_verifiers_credential_can_verify_and_nothing_else(server: Serving, credential: str) -> None:
    """Every call that is described, but for its work: it may what a key may that holds no right at all."""
    target, plain = server.create(), server.create(permissions=["a:read"])["secret"]
    tried = 0
    for path, methods in server.call("/openapi.json").body["paths"].items():
        at = path.replace("{key_id}", target["id"])
        for method in methods.keys() & {"get", "post", "patch", "put", "delete"} if path not in ITS_WORK else ():
            asked: dict[str, Any] = {"body": None if method == "get" else {}, "method": method.upper()}
            answer = server.call(at, key=credential, **asked)
            if answer.status < HTTPStatus.BAD_REQUEST:
                assert server.call(at, key=plain, **asked).status == answer.status, (method, path, answer.text)
            tried += 1
    assert tried > 50
    for path, body in {
        "/v1/keys": {"name": "x"},
        f"/v1/keys/{target['id']}/resets": {"reason": "leaked"},
        f"/v1/keys/{target['id']}/suspend": {"reason": "leaked"},
        f"/v1/keys/{target['id']}/revoke": {},
        "/v1/accounts": {"name": "x"},
        "/v1/policies": {"name": "x"},
    }.items():
        answer = server.call(path, body, key=credential)
        assert answer.body["code"] in ("permission_missing", "not_found"), (path, answer.text)
    assert server.verdict(target["secret"]) == "valid"


def test_uses_are_reported(server: Serving, credential: str) -> None:
    made = server.create(permissions=["orders:write"])
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        for _ in range(3):
            assert verifier.verify(made["secret"], permission="orders:read", ip="192.0.2.7", user_agent="bot/1")
        assert verifier.verify_warm(made["secret"], permission="orders:read", ip="192.0.2.7", user_agent="bot/1")
    until(lambda: server.call(f"/v1/keys/{made['id']}").body["last_used_at"])

    def called_by() -> Any:
        preview = server.call(f"/v1/keys/{made['id']}/resets/preview?reason=routine")
        assert preview.status == HTTPStatus.OK, preview.text
        return preview.body["called_by"]

    until(called_by)
    (one,) = called_by()
    assert (one["address"], one["permission"], one["user_agent"]) == ("192.0.2.7", "orders:read", "bot/1")
    assert one["count"] == 4


def test_pitfall_4_a_limit_is_counted_where_all_requests_of_its_key_meet(
    server: Serving, credential: str, verifier: Verifier
) -> None:
    made = server.create(limit="3/1h")
    with Verifier(server.url, credential) as other:
        assert other.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        assert other.verify(made["secret"])
        assert server.verdict(made["secret"]) == "valid"
        for one in (verifier, other):
            refused = one.verify(made["secret"])
            assert refused.code == "rate_limited"
            assert refused.retry_after >= 1


def served(server: Serving) -> dict[str, int]:
    """How many requests the node has answered, by route."""
    found: dict[str, int] = {}
    for line in server.call("/metrics").text.splitlines():
        if line.startswith("keyturn_http_request_seconds_count"):
            route = line.partition('route="')[2].partition('"')[0]
            found[route] = found.get(route, 0) + int(float(line.rpartition(" ")[2]))
    return found


def test_f15_a_key_with_a_limit_is_decided_on_here_with_few_questions(server: Serving, verifier: Verifier) -> None:
    made = server.create(limit="1000000000/31d", permissions=["orders:read"])
    before, ends, got = served(server), time.monotonic() + 1.5, 0
    while got < 3000 or time.monotonic() < ends:
        assert verifier.verify(made["secret"], permission="orders:read")
        got += 1
    after = served(server)
    assert after.get("/v1/verify", 0) == before.get("/v1/verify", 0)
    asked = after["/v1/feed/share"] - before.get("/v1/feed/share", 0)
    assert 1 <= asked <= 60, (asked, got)
    assert verifier.verify_warm(made["secret"]), "which is as much as memory answering"
    assert verifier.verify_warm(made["secret"], permission="orders:write") is not None


def test_f15_verifiers_and_their_node_together_let_through_what_one_counter_would(
    server: Serving, credential: str, verifier: Verifier
) -> None:
    """Many threads of each; all of it is to be had, and what is left at the end has come back."""
    made = server.create(limit="300/31d")
    with Verifier(server.url, credential) as other:
        assert other.wait_until_leased(LONG)
        got: list[str] = []

        def hammer(verify: Callable[[str], Any]) -> None:
            got.extend(verify(made["secret"]).code for _ in range(100))

        calls = [verifier.verify] * 4 + [other.verify] * 4
        threads = [threading.Thread(target=hammer, args=(call,)) for call in calls]
        threads += [threading.Thread(target=lambda: got.extend(server.verdict(made["secret"]) for _ in range(100)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(got) == {"valid", "rate_limited"}
        assert got.count("valid") <= 300

    def has_had_all() -> bool:
        got.append(server.verdict(made["secret"]))
        return got.count("valid") >= 300

    until(has_had_all)
    assert {server.verdict(made["secret"]) for _ in range(20)} == {"rate_limited"}
    assert verifier.verify(made["secret"]).code == "rate_limited"


def _nobody_lends(_wishes: object, _rests: object) -> NoReturn:
    raise NodeUnavailable("as where the node is an older one")


@pytest.mark.parametrize("on_lapse", ["ask", "refuse"])
def test_f15_without_a_share_a_node_decides_or_nothing_is_let_through(
    server: Serving, credential: str, on_lapse: str
) -> None:
    made = server.create(limit="2/1h")
    with Verifier(server.url, credential, on_lapse=on_lapse) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        verifier._borrower._lend = _nobody_lends
        asked = served(server).get("/v1/verify", 0)
        if on_lapse == "refuse":
            with pytest.raises(NodeUnavailable):
                verifier.verify(made["secret"])
            assert served(server).get("/v1/verify", 0) == asked
        else:
            assert verifier.verify(made["secret"])
            assert verifier.verify(made["secret"]).code == "rate_limited"
            assert served(server)["/v1/verify"] == asked + 2


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Serving]:
    """A node of the test's own, to be stopped."""
    one = Serving(folder=tmp_path / "data").start()
    yield one
    one.kill()


def over(verifier: Verifier, *, leased: bool) -> None:
    """Hear nothing from the authority any more: in the middle of the lease, or after it."""
    verifier._attachment.stop()
    verifier._holder.deadline = boot_micros() + (int(LONG * 1e6) if leased else -1)


@pytest.mark.parametrize("leased", [True, False])
def test_f15_stale_goes_on_with_keys_that_have_a_limit_and_counts_by_itself(stopping: Serving, *, leased: bool) -> None:
    """F12: no node can be reached; it was chosen that memory goes on."""
    plain, limited, other = (stopping.create(limit=limit)["secret"] for limit in (None, "3/1h", "1/1h"))
    credential = stopping.create(permissions=["keyturn.attach"])["secret"]
    with Verifier(stopping.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert [verifier.verify(one).code for one in (plain, limited, other)] == ["valid"] * 3
        stopping.kill()
        over(verifier, leased=leased)
        assert verifier.verify(plain)
        assert [verifier.verify(limited).code for _ in range(5)] == ["valid"] * 3 + ["rate_limited"] * 2
        refused = verifier.verify(limited)
        assert 1100 < refused.retry_after <= 1200
        assert verifier.verify(other)
        verifier._holder.deadline = boot_micros() - int(3601e6)
        with pytest.raises(LeaseLapsed):
            verifier.verify(limited)


def test_f15_stale_asks_nobody_for_a_share_once_the_lease_is_over(server: Serving, credential: str) -> None:
    """It would wait for an answer each time; the stream finds the way back."""
    made = server.create(limit="3/1h")
    with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        over(verifier, leased=False)
        asked = served(server)["/v1/feed/share"]
        assert verifier.verify(made["secret"])
        assert served(server)["/v1/feed/share"] == asked


def test_f15_what_is_left_comes_back_however_long_leases_are(stopping: Serving) -> None:
    """Renewals are then further apart than the lender knows a loan for."""
    path, credential = "/v1/fleet/terms", stopping.create(permissions=["keyturn.attach"])["secret"]
    assert stopping.call(path, {"lease_ms": 20_000, "margin_ms": 20}, method="PUT").status == HTTPStatus.OK
    made = stopping.create(limit="100000/31d")
    with Verifier(stopping.url, credential) as verifier:
        until(lambda: verifier.lease > 19)  # just renewed, and not again for six seconds
        for _ in range(40):
            assert verifier.verify(made["secret"])
        asked = 0

        def is_whole() -> bool:
            nonlocal asked
            asked += 1
            left: int = stopping.call("/v1/verify", {"key": made["secret"]}).body["remaining"]
            return left >= 100_000 - 40 - asked

        assert not is_whole(), "forty requests in a row are reason enough to borrow ahead"
        until(is_whole)


class WatchedLock:
    """A lock that tells how often it was wanted."""

    def __init__(self) -> None:
        self.wanted = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.wanted += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_pitfall_15_stale_loses_no_request_to_a_thread_that_comes_in_between(server: Serving, credential: str) -> None:
    """F15: what one thread has counted for itself, another one's counting does not overwrite."""
    made = server.create(limit="2/1h")
    with Verifier(server.url, credential, on_lapse="stale:1h") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        over(verifier, leased=False)
        codes, lends, puts, lock = list[str](), list[Share](), list[Share](), WatchedLock()
        lend, put = verifier._counters.lend, verifier._shares.put

        def ask() -> None:
            codes.append(verifier.verify(made["secret"]).code)

        other = threading.Thread(target=ask)

        def lend_both_first(*arguments: Any, **named: Any) -> Share:
            lends.append(lend(*arguments, **named))
            if len(lends) == 1:
                other.start()
                until(lambda: lock.wanted >= 2 or len(lends) >= 2)
            else:
                until(lambda: puts)
            return lends[-1]

        def put_both_first(number: int, share: Share, *, wish: Wish, asked: int) -> None:
            put(number, share, wish=wish, asked=asked)
            puts.append(share)
            until(lambda: lock.wanted >= 2 or len(puts) >= 2)

        verifier.__dict__["_alone"] = lock
        verifier._counters.__dict__["lend"] = lend_both_first
        verifier._shares.__dict__["put"] = put_both_first
        ask()
        other.join()
        assert codes == ["valid"] * 2


def test_f15_refuse_lets_nothing_through_without_a_share(stopping: Serving) -> None:
    plain, limited = (stopping.create(limit=limit)["secret"] for limit in (None, "3/1h"))
    credential = stopping.create(permissions=["keyturn.attach"])["secret"]
    with Verifier(stopping.url, credential, on_lapse="refuse") as verifier:
        assert verifier.wait_until_leased(LONG)
        assert [verifier.verify(one).code for one in (plain, limited)] == ["valid"] * 2
        stopping.kill()
        over(verifier, leased=True)
        assert verifier.verify(plain)
        with pytest.raises(NodeUnavailable):
            verifier.verify(limited)
        over(verifier, leased=False)
        for one in (plain, limited):
            with pytest.raises(LeaseLapsed):
                verifier.verify(one)


@pytest.mark.parametrize("ends", ["lapsed", "closed", "unreachable"])
def test_f3_a_lease_that_ends_while_a_share_is_borrowed_lets_nothing_through(
    server: Serving, credential: str, ends: str
) -> None:
    """F15: nor is a node asked then by whoever refuses (`on_lapse`), or is closed."""
    made = server.create(limit="9/1h")
    on_lapse = "ask" if ends == "closed" else "refuse"
    with Verifier(server.url, credential, on_lapse=on_lapse) as verifier:
        assert verifier.wait_until_leased(LONG)
        assert verifier.verify(made["secret"])
        lend = verifier._borrower._lend

        def lend_late(wishes: Sequence[Wish], rests: Sequence[Rest]) -> Sequence[Share]:
            lent = lend(wishes, rests)
            if ends == "closed":
                verifier.close()
            else:
                lapse(verifier)
            if ends == "unreachable":
                _nobody_lends(wishes, rests)
            return lent

        verifier._borrower._lend = lend_late
        asked = served(server).get("/v1/verify", 0)
        with pytest.raises(LeaseLapsed):
            verifier.verify(made["secret"])
        assert served(server).get("/v1/verify", 0) == asked


@pytest.fixture(scope="module")
def allowing(server: Serving) -> str:
    """An account in which customers may choose their secrets."""
    server.call("/v1/policies", {"name": "choosing", "own_secret": "allowed"})
    wish = {"name": "choosing", "policy": "choosing", "max_keys_per_user": 1000}
    made: str = server.call("/v1/accounts", wish).body["id"]
    return made


@pytest.mark.parametrize("leased", [True, False], ids=["leased", "asked"])
def test_r42_an_own_secret_is_known_by_its_label(
    server: Serving, verifier: Verifier, allowing: str, *, leased: bool
) -> None:
    mine, label = f"tr4wl-Kettle.9_Quay~moss+Hinge77x{leased}", f"own{int(leased)}"
    made = server.create(account_id=allowing, label=label, own_secret=mine)
    if not leased:
        lapse(verifier)
    presented = f"kt_own_{label}_{mine}"
    for _ in range(2):
        verdict = verifier.verify(presented)
        assert (verdict.code, verdict.view and verdict.view.key_id) == ("valid", made["id"])
    codes = [verifier.verify(f"kt_own_{label}_{mine}{at}").code for at in range(60)]
    assert set(codes) == {"unknown", "rate_limited"}
    limited = next(one for one in map(verifier.verify, [f"kt_own_{label}_{mine}?{at}" for at in range(60)]) if one.wait)
    assert (limited.code, limited.retry_after >= 1) == ("rate_limited", True)
    assert not leased or verifier.verify(presented)  # who is known does not wait for guesses


def test_r42_a_key_whose_requests_are_signed_is_accepted_for_no_text(server: Serving, verifier: Verifier) -> None:
    pair = Pair()
    made = server.create(public_key=pair.pem)
    for text in (pair.base64, pair.pem, pair.public_key.raw.hex(), made["id"], made["hint"]):
        assert verifier.verify(text).code == "malformed"
    for raw in (pair.public_key.raw, sha256(pair.public_key.raw).digest()):
        find = _find(verifier)
        now = boot_micros() + verifier._holder.ahead
        assert verifier._memory.verify_cold(raw, find, now=now).code == "unknown"


async def _nothing(*_: object) -> None:
    """An application that is never reached."""


def test_no_secret_is_in_what_it_says(server: Serving, credential: str, verifier: Verifier) -> None:
    """Also not one that was given in the wrong place."""
    assert credential not in repr(verifier)
    with pytest.raises(ValueError, match="none") as raised:
        Verifier(server.url, f"{credential} {credential}")
    assert credential not in str(raised.value)
    made_wrong: list[Callable[[], object]] = [
        lambda: Verifier(credential, server.url),
        lambda: Verifier(f"https://{credential}@keys.example.com", "x"),
        lambda: Verifier(f"https://keys.example.com:{credential}", "x"),
        lambda: Client(credential, key=server.url),
        lambda: Client(f"https://keys.example.com:{credential}", key="x"),
        lambda: is_loopback_url(f"https://keys.example.com:{credential}"),
        lambda: Verifier(server.url, "x", on_lapse=credential),
        lambda: Verifier(server.url, "x", on_lapse=f"stale:{credential}"),
        lambda: verifier.verify("x", ip=credential),
        lambda: verifier.verify("x", ip="2001:db8::1::2"),
        lambda: verifier.verify_warm("x", permission=credential),
        lambda: verifier.verify("x", permission=["orders:read", credential]),
        lambda: finder(lambda *_: credential)("GET", "/"),
        lambda: finder({"/orders": credential}),
        lambda: KeyturnMiddleware(_nothing, verifier, needs=credential),
    ]
    for make in made_wrong:
        with pytest.raises(ValueError, match=r"address|permission|on_lapse") as raised:
            make()
        assert credential not in str(raised.value)
        assert "2001:" not in str(raised.value)
        assert raised.value.__context__ is None or raised.value.__suppress_context__, "it would be told all the same"
    for given in ({}, {"credential": "x", "credential_file": "y"}):
        with pytest.raises(ValueError, match="or the file"):
            Verifier(server.url, **given)  # type: ignore[arg-type]  # as somebody may call it
