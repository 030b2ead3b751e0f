"""`/v1/feed` at a real server: who may attach, and what ends a stream (F7)."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from keyturn.core.lease import AHEAD, FOR_GOOD, Acknowledgement, Denial, Grant, Push, Renewal, Terms
from keyturn.core.share import Rest
from keyturn.sdk import Verifier
from keyturn.sdk.stream import Refused, Stream, Wake
from keyturn.verify.message import GiveBack, Message, Report, read, write
from keyturn.verify.usage import Callers, Origin, Tally
from tests.attached import until
from tests.serving import Answer, Serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    started = Serving(tmp_path_factory.mktemp("feed") / "data").start()
    yield started.leased()
    started.kill()


@pytest.fixture(scope="module")
def credential(server: Serving) -> str:
    secret: str = server.create(name="verifier", permissions=["keyturn.attach"])["secret"]
    return secret


class Line:
    """An attached verifier by hand."""

    def __init__(self, server: Serving, credential: str, **headers: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.stream = Stream(connection, "/v1/feed", {"Authorization": f"Bearer {credential}"} | headers)
        self._wake = Wake()
        self._waiting: list[bytes] = []
        self._epoch: int | None = None

    def say(self, message: Message) -> None:
        self.stream.send(write(message))

    def hear(self) -> Message | None:
        """The next message; None once the server has ended the stream."""
        while not self._waiting:
            try:
                lines = self.stream.lines(60, self._wake)
            except ConnectionResetError:  # it was still being told something
                return None
            if lines is None:
                return None
            assert lines, "nothing came in a minute"
            self._waiting += lines
        heard = read(self._waiting.pop(0))
        if isinstance(heard, Grant):
            self._epoch = heard.epoch
        return heard

    def join(self, instance: str = "ver_test", nonce: int = 1) -> Grant:
        """Be granted a lease."""
        terms = self.hear()
        assert isinstance(terms, Terms)
        self.say(Renewal(instance=instance, nonce=nonce, epoch=0, applied_rev=0, acked_rev=0))
        grant = self.hear()
        assert isinstance(grant, Grant)
        assert 0 < grant.length <= terms.length - terms.margin
        return grant

    def leave(self) -> None:
        """From now on nobody waits for it."""
        if self._epoch is not None:
            self.say(Acknowledgement(epoch=self._epoch, rev=FOR_GOOD))

    def close(self) -> None:
        with suppress(OSError):  # the server has ended the stream
            self.leave()
        self.stream.close()
        self._wake.close()


@pytest.fixture(autouse=True)
def _no_later_stop_waits_for_it(server: Serving, credential: str) -> Iterator[None]:
    """Whose stream was ended by the server has its lease still, and gives it back."""
    yield
    with closing(Line(server, credential)) as line:
        line.join()


def test_f7_a_verifier_is_granted_told_and_waited_for(server: Serving, credential: str) -> None:
    made = server.create()
    with closing(Line(server, credential)) as line:
        grant = line.join()
        assert (grant.anew, grant.entries, grant.nonce) == (True, (), 1)
        line.say(Acknowledgement(epoch=grant.epoch, rev=grant.rev))
        receipts: list[Any] = []
        with _in_thread(lambda: receipts.append(server.call(f"/v1/keys/{made['id']}/suspend", {}).body["receipt"])):
            push = line.hear()
            assert isinstance(push, Push)
            assert [one.rev for one in push.entries] == [grant.rev + 1]
            assert not receipts  # nobody has acknowledged it yet
            line.say(Acknowledgement(epoch=push.epoch, rev=grant.rev + 1))
        assert receipts[0]["confirmed"]
        assert receipts[0]["verifiers"] == {"acknowledged": 2, "waited_out": [], "unleased": []}


def test_f5_who_does_not_answer_is_waited_out_and_named(server: Serving, credential: str) -> None:
    made = server.create()
    with closing(Line(server, credential)) as line:
        grant = line.join("ver_silent")
        line.say(Acknowledgement(epoch=grant.epoch, rev=grant.rev))
        receipt = server.call(f"/v1/keys/{made['id']}/suspend", {}).body["receipt"]
    assert receipt["confirmed"]
    assert "ver_silent" in receipt["verifiers"]["waited_out"]


def test_f5_what_no_authority_has_is_acknowledged_in_a_renewal_no_more_than_otherwise(
    server: Serving, credential: str
) -> None:
    """Nobody gets out of being waited for while it holds a lease."""
    made = server.create()
    with closing(Line(server, credential)) as line:
        grant = line.join("ver_ahead")
        ahead = grant.rev + (1 << 40)
        line.say(Renewal(instance="ver_ahead", nonce=2, epoch=grant.epoch, applied_rev=ahead, acked_rev=ahead))
        denial = line.hear()
        assert isinstance(denial, Denial)
        assert_waited_for(server, "ver_ahead", line, made["id"])


def test_f5_who_has_left_and_asks_for_a_lease_again_is_waited_for_again(server: Serving, credential: str) -> None:
    made = server.create()
    with closing(Line(server, credential)) as line:
        grant = line.join("ver_back")
        line.say(Acknowledgement(epoch=grant.epoch, rev=FOR_GOOD))
        rev = grant.rev
        asked = Renewal(instance="ver_back", nonce=2, epoch=grant.epoch, applied_rev=rev, acked_rev=rev)
        line.say(replace(asked, applied_at=grant.at))
        assert isinstance(line.hear(), Grant)
        assert_waited_for(server, "ver_back", line, made["id"])


def assert_waited_for(server: Serving, instance: str, line: Line, key_id: str) -> None:
    """A stop is not final before that one says so."""
    receipts: list[Any] = []
    with _in_thread(lambda: receipts.append(server.call(f"/v1/keys/{key_id}/suspend", {}).body["receipt"])):
        until(lambda: any(instance in each["waiting_for"] for each in server.call("/v1/fleet").body["fences"]))
        assert not receipts
        line.leave()
    assert receipts[0]["confirmed"], receipts[0]
    assert instance not in receipts[0]["verifiers"]["waited_out"]


def test_f12_a_verifier_that_answers_without_a_lease_is_named_and_nothing_is_confirmed(
    server: Serving, credential: str
) -> None:
    made = server.create()
    with closing(Line(server, credential)) as line:
        assert isinstance(line.hear(), Terms)
        line.say(Renewal(instance="ver_stale", nonce=1, epoch=0, applied_rev=0, acked_rev=0, stale=1_000_000))
        grant = line.hear()
        assert isinstance(grant, Grant)
        line.say(Acknowledgement(epoch=grant.epoch, rev=grant.rev))
        with _in_thread(lambda: line.say(Acknowledgement(epoch=grant.epoch, rev=_pushed(line)))):
            receipt = server.call(f"/v1/keys/{made['id']}/suspend", {}).body["receipt"]
    assert not receipt["confirmed"]
    assert "without a lease" in receipt["reason"]
    assert receipt["verifiers"]["unleased"] == ["ver_stale"]


def _pushed(line: Line) -> int:
    push = line.hear()
    assert isinstance(push, Push)
    return push.entries[-1].rev


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"kind":"renew"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        write(Push(epoch=1, entries=())),
        write(Denial(nonce=1, reason="lapsed")),
        write(Acknowledgement(epoch=1, rev=1)),
        write(Renewal(instance="ver_liar", nonce=1, epoch=0, applied_rev=0, acked_rev=1)),
        write(Renewal(instance="ver_liar", nonce=1, epoch=1, applied_rev=1, acked_rev=1 << 61)),
        write(Renewal(instance="ver_liar", nonce=1, epoch=1, applied_rev=1, acked_rev=FOR_GOOD)),
        b" " * 1_100_000,
    ],
    ids=lambda said: said[:20].decode("latin-1"),
)
def test_what_no_verifier_says_ends_the_stream(server: Serving, credential: str, said: bytes) -> None:
    """Acknowledging before having joined is one of them."""
    with closing(Line(server, credential)) as line:
        assert isinstance(line.hear(), Terms)
        with suppress(OSError):  # it may have been ended already
            line.stream.send(said)
            line.say(Renewal(instance="ver_test", nonce=1, epoch=0, applied_rev=0, acked_rev=0))
        assert line.hear() is None, "what is said afterwards is answered no more"
    assert server.call("/livez").status == 200


def test_what_was_not_told_yet_cannot_be_acknowledged(server: Serving, credential: str) -> None:
    with closing(Line(server, credential)) as line:
        grant = line.join()
        line.say(Acknowledgement(epoch=grant.epoch, rev=grant.rev + 1_000_000))
        assert line.hear() is None


def test_one_stream_is_one_instance(server: Serving, credential: str) -> None:
    with closing(Line(server, credential)) as line:
        line.join()
        line.say(Renewal(instance="ver_other", nonce=2, epoch=0, applied_rev=0, acked_rev=0))
        assert line.hear() is None


@pytest.mark.parametrize("shared", [False, True], ids=["another credential", "the same credential"])
def test_f0_nobody_acknowledges_for_another_s_instance(server: Serving, credential: str, *, shared: bool) -> None:
    """Its id stands in receipts.  Who reads it there can neither say that it has left nor that it goes on stale."""
    name = f"ver_victim{shared:d}"
    other = credential if shared else server.create(permissions=["keyturn.attach"])["secret"]
    made = server.create()
    with (
        closing(Line(server, credential, **{"X-Keyturn-Instance": "its own"})) as victim,
        closing(Line(server, other, **{"X-Keyturn-Instance": "guessed"})) as attacker,
        closing(Line(server, credential, **{"X-Keyturn-Instance": "its own"})) as again,
    ):
        grant = victim.join(name)
        victim.say(Acknowledgement(epoch=grant.epoch, rev=grant.rev))
        assert isinstance(attacker.hear(), Terms)
        attacker.say(Renewal(instance=name, nonce=1, epoch=grant.epoch, applied_rev=grant.rev, acked_rev=grant.rev + 9))
        assert attacker.hear() is None
        again.join(name, nonce=2)
        assert_waited_for(server, name, again, made["id"])


def test_f0_an_instance_is_one_credential_s_whatever_another_shows_beside_its_own(
    server: Serving, credential: str
) -> None:
    other = server.create(permissions=["keyturn.attach"])["secret"]
    proof = {"X-Keyturn-Instance": "overheard"}
    with closing(Line(server, credential, **proof)) as line, closing(Line(server, other, **proof)) as attacker:
        line.join("ver_proven")
        assert isinstance(attacker.hear(), Terms)
        attacker.say(Renewal(instance="ver_proven", nonce=1, epoch=0, applied_rev=0, acked_rev=0))
        assert attacker.hear() is None


def test_f0_nobody_acknowledges_for_a_real_verifier(server: Serving, credential: str) -> None:
    """Also not with its credential."""
    with Verifier(server.url, credential, allow_plain_http=True) as verifier:
        assert verifier.wait_until_leased()
        with closing(Line(server, credential)) as attacker:
            assert isinstance(attacker.hear(), Terms)
            attacker.say(Renewal(instance=verifier.instance, nonce=1, epoch=0, applied_rev=0, acked_rev=0))
            assert attacker.hear() is None


def test_f9_who_knows_more_than_the_authority_gets_no_lease(server: Serving, credential: str) -> None:
    with closing(Line(server, credential)) as line:
        grant = line.join()
        ahead = Renewal(instance="ver_test", nonce=2, epoch=grant.epoch, applied_rev=grant.rev + 50, acked_rev=0)
        line.say(ahead)
        denial = line.hear()
        assert isinstance(denial, Denial)
        assert denial.reason == "ahead"


def test_f9_who_knows_another_change_by_that_revision_gets_no_lease(server: Serving, credential: str) -> None:
    """A verifier that was away while a backup was put back and the authority came as far again."""
    with closing(Line(server, credential)) as line:
        grant = line.join()
        asked = Renewal(instance="ver_test", nonce=2, epoch=grant.epoch, applied_rev=grant.rev, acked_rev=0)
        line.say(replace(asked, applied_at=grant.at))
        assert isinstance(line.hear(), Grant)
        line.say(replace(asked, nonce=3, applied_at=grant.at - 1))
        denial = line.hear()
        assert isinstance(denial, Denial)
        assert denial.reason == "ahead"


def test_a_credential_that_is_stopped_loses_its_stream(server: Serving) -> None:
    made = server.create(permissions=["keyturn.attach"])
    with closing(Line(server, made["secret"])) as line:
        grant = line.join("ver_stopped")
        line.say(Acknowledgement(epoch=grant.epoch, rev=FOR_GOOD))  # it leaves, so nothing waits for it
        server.call(f"/v1/keys/{made['id']}/revoke", {})
        line.say(Renewal(instance="ver_stopped", nonce=2, epoch=grant.epoch, applied_rev=grant.rev, acked_rev=0))
        heard = line.hear()
        while isinstance(heard, Push):
            heard = line.hear()
        assert heard is None


def test_who_renews_no_more_is_told_no_more(server: Serving) -> None:
    """Else a credential that was stopped would hear of every change for as long as its stream is open."""
    made = server.create(permissions=["keyturn.attach"])
    with closing(Line(server, made["secret"])) as line:
        grant = line.join("ver_listening")
        line.say(Acknowledgement(epoch=grant.epoch, rev=FOR_GOOD))
        server.call(f"/v1/keys/{made['id']}/revoke", {})
        assert isinstance(line.hear(), Push)
        assert line.hear() is None


def test_what_a_verifier_makes_up_stands_in_nobody_s_way(server: Serving, credential: str) -> None:
    """Of keys that there are not, of a time to come; what others count is written, and nothing later than now."""
    with closing(Line(server, credential)) as line, Verifier(server.url, credential, allow_plain_http=True) as other:
        line.join("ver_dreaming")
        future = 7_258_118_400_000_000  # in 2200
        nobody = 1 << 40
        line.say(
            Report(
                last=((nobody, 1), (1, future)),
                watched=((Origin(nobody, 1, None, (), ""), Tally(1, 1, 1)),),
                callers=(Callers(nobody, None, (), "", 1, 1), Callers(1, None, (), "", 1, future)),
            )
        )
        made = server.create()
        assert other.verify(made["secret"])
        until = time.monotonic() + 30
        while server.call(f"/v1/keys/{made['id']}").body["last_used_at"] is None:
            assert time.monotonic() < until
    used = [one["last_used_at"] for one in server.call("/v1/keys").body["items"] if one["last_used_at"]]
    assert max(used) < "2100"
    assert "housekeeping failed" not in server.said


@pytest.mark.parametrize(
    ("path", "extra", "said"),
    [
        ("/v1/feed", b"", b"401 "),
        ("/v1/feed", b"Authorization: Bearer {key}\r\nAuthorization: Bearer kt_live_x\r\n", b"400 "),
        ("/v1/feed?key={key}", b"Authorization: Bearer {key}\r\n", b"400 "),
    ],
    ids=["a stranger", "two credentials", "a secret in the address"],
)
def test_who_is_refused_is_listened_to_no_longer(
    server: Serving, credential: str, path: str, extra: bytes, said: bytes
) -> None:
    """However much they still have to say: the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode() + extra + b"\r\n"
        line.sendall(head.replace(b"{key}", credential.encode()))
        answer = b""
        while part := line.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 " + said)


def test_pitfall_18_only_the_operator_s_verifiers_may_attach(server: Serving, credential: str) -> None:
    customer = server.call("/v1/accounts", {"name": "Customer"}).body["id"]
    owner = server.call(
        "/v1/users",
        {"email": "feed@example.com", "password": "a long enough passphrase", "account_id": customer, "role": "owner"},
    )
    assert owner.status == 201, owner.text
    of_customer = server.create(account_id=customer, owner_id=owner.body["id"], permissions=["*:admin"])["secret"]
    plain = server.create(permissions=["keyturn.verify"])["secret"]
    for shown, code in ((of_customer, "permission_missing"), (plain, "permission_missing"), ("kt_live_x", None)):
        with pytest.raises(Refused) as refused:
            Line(server, shown)
        assert refused.value.code == (code or "unauthenticated")
        assert server.call("/v1/feed/fill", {"key_sha256": "0" * 64}, key=shown).status in (401, 403)
        share = server.call("/v1/feed/share", {"wishes": [{"key_id": "key_x", "waiting": 1}]}, key=shown)
        assert (share.status, share.body["code"]) in ((403, "permission_missing"), (401, "unauthenticated"))
    assert server.call("/v1/feed", method="GET").status == 405
    assert asked_by_a_holder(server, credential, {"key_sha256": "0" * 64})["state"] is None


def asked_by_a_holder(server: Serving, credential: str, asked: dict[str, str]) -> dict[str, Any]:
    """What a verifier that holds a lease is told."""
    its = {"X-Keyturn-Instance": "its own"}
    with closing(Line(server, credential, **its)) as line:
        line.join("ver_holder")
        answer = server.call("/v1/feed/fill", asked, key=credential, headers=its)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.body
    return found


@pytest.mark.parametrize("whose", ["nobody's", "another's", "a credential of its own"])
def test_f12_what_can_be_remembered_is_told_to_holders_of_a_lease_only(
    server: Serving, credential: str, whose: str
) -> None:
    made = server.create()
    asked = {"key_sha256": sha256(made["secret"].encode()).hexdigest()}
    its = {"X-Keyturn-Instance": "its own"}
    with closing(Line(server, credential, **its)) as line:
        line.join("ver_holder")
        shown = its if whose == "a credential of its own" else {"X-Keyturn-Instance": "guessed"}
        key = server.create(permissions=["keyturn.attach"])["secret"] if shown is its else credential
        headers = {} if whose == "nobody's" else shown
        assert server.call("/v1/feed/fill", asked, key=key, headers=headers).body == asked | {"unleased": True}
        assert server.call("/v1/feed/fill", asked, key=credential, headers=its).body["state"]["key_id"] == made["id"]


def test_f4_a_fill_names_the_fingerprint_that_was_asked_for(server: Serving, credential: str) -> None:
    """So that nobody takes it for the answer to another question, whatever lies between."""
    for fingerprint in (sha256(server.create()["secret"].encode()).hexdigest(), "0" * 64):
        assert asked_by_a_holder(server, credential, {"key_sha256": fingerprint})["key_sha256"] == fingerprint


def test_a_fill_holds_no_secret_and_nothing_that_leads_to_one(server: Serving, credential: str) -> None:
    """K11: what a verifier keeps is what decisions need, by the fingerprint that it has already."""
    made = server.create()
    told = asked_by_a_holder(server, credential, {"key_sha256": sha256(made["secret"].encode()).hexdigest()})
    assert told["state"]["key_id"] == made["id"]
    assert made["secret"].rpartition("_")[2] not in json.dumps(told)
    assert "digest" not in json.dumps(told)


@pytest.mark.parametrize(
    "asked",
    [
        {"key_sha256": "0" * 63},
        {"key_sha256": "0" * 66},
        {"key_sha256": "G" * 64},
        {"key_sha256": "0" * 64, "label": "No Label"},
        {"key_sha256": "0" * 64, "label": "x" * 1000},
        {"key_sha256": "0" * 64, "more": ""},
    ],
    ids=str,
)
def test_what_is_no_question_for_a_fill_is_refused(server: Serving, credential: str, asked: dict[str, str]) -> None:
    assert server.call("/v1/feed/fill", asked, key=credential).status == 422


@pytest.mark.parametrize("label", [None, "nobodys"])
def test_f9_a_fill_names_the_epoch_of_its_reading(server: Serving, credential: str, label: str | None) -> None:
    """Also of nobody's key: else a verifier would ask again and again."""
    asked = {"key_sha256": "0" * 64} | ({"label": label} if label else {})
    assert asked_by_a_holder(server, credential, asked)["epoch"] == server.call("/v1/fleet").body["epoch"]


class _in_thread:  # noqa: N801  # reads as a phrase
    """Does something beside what the block does, and waits for it."""

    def __init__(self, work: Any) -> None:
        self._thread = threading.Thread(target=work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def _asked_to_share(server: Serving, credential: str, body: dict[str, Any]) -> Answer:
    its = {"X-Keyturn-Instance": "its own"}
    with closing(Line(server, credential, **its)) as line:
        line.join("ver_shares")
        return server.call("/v1/feed/share", body, key=credential, headers=its)


def _lent(server: Serving, credential: str, key_id: str, *, rests: Any = (), **wish: int) -> dict[str, Any]:
    body = {"wishes": [{"key_id": key_id, "waiting": 1} | wish], "rests": list(rests)}
    answer = _asked_to_share(server, credential, body)
    assert answer.status == 200, answer.text
    (share,) = answer.body["shares"]
    assert share["key_id"] == key_id
    return dict(share)


def test_f15_a_verifier_is_lent_a_share_and_gives_back_what_it_has_left(server: Serving, credential: str) -> None:
    """Once, and no more than it was lent; what is made up brings nothing."""
    made, other = server.create(limit="10000/31d"), server.create(limit="10000/31d")
    share = _lent(server, credential, made["id"], ahead=9)
    assert (share["requests"], share["others"]) == (10, 9990)
    day = 86_400_000_000
    assert (share["interval"], share["window"], share["wait"]) == (31 * day // 10_000, 31 * day, 0)
    rest = {"key_id": made["id"], "loan": share["loan"], "requests": 10**9}
    forged = ({"loan": "loan_x"}, {"key_id": other["id"]}, {"key_id": "key_of_nobody"})
    for one in forged:
        assert _lent(server, credential, other["id"], rests=[rest | one])["requests"] == 1
    assert _lent(server, credential, made["id"])["others"] == 9989
    assert _lent(server, credential, made["id"], rests=[rest, rest])["others"] == 9998, "less the two lent since"
    assert _lent(server, credential, made["id"], rests=[rest])["others"] == 9997
    assert _lent(server, credential, other["id"], waiting=10**9)["requests"] == 10_000 - len(forged)
    empty = _lent(server, credential, other["id"])
    assert (empty["requests"], empty["loan"], empty["others"]) == (0, "", 0)
    assert 31 * day // 10_000 - 60_000_000 < empty["wait"] <= 31 * day // 10_000


def test_f15_a_verifier_gives_back_on_its_stream_too(server: Serving, credential: str) -> None:
    made = server.create(limit="10000/31d")
    share = _lent(server, credential, made["id"], ahead=9)
    with closing(Line(server, credential)) as line:
        line.join("ver_gives_back")
        line.say(GiveBack(rests=(Rest(key_id=made["id"], loan=share["loan"], requests=4),)))
        line.say(Renewal(instance="ver_gives_back", nonce=2, epoch=0, applied_rev=0, acked_rev=0))
        assert line.hear(), "so the line before was heard"
    assert _lent(server, credential, made["id"])["others"] == 9993


def test_f15_nobody_is_lent_what_has_no_limit(server: Serving, credential: str) -> None:
    free = server.create()["id"]
    wishes = [{"key_id": one, "waiting": 1} for one in (free, "key_of_nobody")]
    assert _asked_to_share(server, credential, {"wishes": wishes}).body == {"shares": []}
    assert _asked_to_share(server, credential, {}).body == {"shares": []}
    for wrong in (
        {"wishes": [{"key_id": free, "waiting": 0}]},
        {"wishes": [{"key_id": free, "waiting": 10**9 + 1}]},
        {"wishes": [{"key_id": free, "waiting": 1, "ahead": -1}]},
        {"wishes": [{"key_id": free, "waiting": 1}] * 101},
        {"rests": [{"key_id": free, "loan": "x", "requests": -1}]},
        {"rests": [{"key_id": "x" * 1000, "loan": "x", "requests": 1}]},
    ):
        assert server.call("/v1/feed/share", wrong, key=credential).status == 422, wrong


def test_f12_f15_who_holds_no_lease_is_lent_nothing(server: Serving, credential: str) -> None:
    made = server.create(limit="10/31d")
    asked = {"wishes": [{"key_id": made["id"], "waiting": 10}]}
    for headers in ({}, {"X-Keyturn-Instance": "guessed"}):
        answer = server.call("/v1/feed/share", asked, key=credential, headers=headers)
        assert (answer.status, answer.body) == (200, {"shares": [], "unleased": True})
    assert server.verdict(made["secret"]) == "valid", "and nothing was taken for it"
    assert _lent(server, credential, made["id"])["others"] == 8


# -- F9: what has become of what a verifier has applied


def test_f9_a_verifier_that_asks_without_a_lease_shows_how_far_it_is(server: Serving, credential: str) -> None:
    with closing(Line(server, credential)) as line:
        grant = line.join()
    key = {"key": server.create()["secret"]}

    def asked(applied: str) -> Any:
        body = server.call("/v1/verify", key, headers={"X-Keyturn-Applied": applied}).body
        return body["code"]

    assert asked(f"{grant.epoch} {grant.rev} {grant.at}") == "valid"
    assert asked(f"{grant.epoch} {grant.rev} {grant.at + 1}") == "lease_lapsed"
    assert asked(f"{grant.epoch} {grant.rev + 1_000_000} {grant.at}") == "lease_lapsed"
    assert asked(f"{grant.epoch + 1} {grant.rev} {grant.at + 1}") == "valid", "within an epoch alone"
    assert asked("0 0 0") == "valid", "nothing"
    for nonsense in ("", f"{grant.epoch} {grant.rev}", f"{grant.epoch} {grant.rev} -1", f"1 1 {'9' * 19}"):
        assert asked(nonsense) == "invalid_header"


@pytest.mark.parametrize("of_another_past", [0, 1])
def test_f9_a_server_that_begins_later_than_a_verifier_is_asks_the_database(
    tmp_path: Path, of_another_past: int
) -> None:
    """Of a past that is lost it would begin anew, and forget what has stopped in it."""
    server = Serving(tmp_path / "data").start()
    try:
        credential = server.create(permissions=["keyturn.attach"])["secret"]
        with closing(Line(server, credential)) as line:
            grant = line.join()
        server.create()
        server.stop()
        server.start()
        with closing(Line(server, credential)) as line:
            assert isinstance(line.hear(), Terms)
            rev, at = grant.rev, grant.at + of_another_past
            asked = Renewal(instance="ver_late", nonce=1, epoch=grant.epoch, applied_rev=rev, acked_rev=rev)
            line.say(replace(asked, applied_at=at))
            said = line.hear()
        if of_another_past:
            assert said == Denial(nonce=1, reason=AHEAD)
        else:
            assert isinstance(said, Grant)
            assert said.anew
    finally:
        server.kill()
