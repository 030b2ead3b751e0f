"""Whoever guesses by the hundred does not lock the owner out: a real server behind a listed proxy (K8)."""

import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_resets import PASSPHRASE
from tests.captcha import solve
from tests.serving import Answer, Serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    config = tmp_path / "keyturn.toml"
    config.write_text('trusted_proxies = ["127.0.0.0/8"]\n')
    serving = Serving(folder=tmp_path / "data", flags=("--config", str(config)), whole=True).start()
    yield serving
    serving.kill()


PROXIED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def sign_in(server: Serving, *, address: str, password: str = PASSPHRASE, **more: Any) -> Answer:
    body = {"user": "owner@example.com", "password": password} | more
    return server.call("/v1/sessions", body, headers=PROXIED | {"X-Forwarded-For": address})


def owner_of_account(server: Serving) -> tuple[str, str]:
    account = server.call("/v1/accounts", {"name": "lockout"}, headers=PROXIED).body["id"]
    wish = {"email": "owner@example.com", "password": PASSPHRASE, "role": "owner", "account_id": account}
    made = server.call("/v1/users", wish, headers=PROXIED)
    assert made.status == HTTPStatus.CREATED, made.text
    return account, made.body["id"]


def owners_key(server: Serving) -> tuple[str, str]:
    account, owner = owner_of_account(server)
    wish = {"name": "trading", "account_id": account, "owner_id": owner}
    key = server.call("/v1/keys", wish, headers=PROXIED).body["id"]
    return key, sign_in(server, address="203.0.113.5").body["token"]


def test_k8_two_hundred_wrong_passwords_from_a_hundred_addresses(server: Serving) -> None:
    account, _ = owner_of_account(server)
    at_home = sign_in(server, address="203.0.113.5", remember_device=True)
    device = at_home.body["device_token"]

    tries = [sign_in(server, address=f"10.0.{n % 100}.{n}", password="wrong pass phrase") for n in range(200)]
    codes = Counter((one.status, one.body["code"]) for one in tries)
    assert codes == {(401, "unauthenticated"): 5, (403, "captcha_required"): 195}
    records = server.call(f"/v1/audit?account_id={account}&limit=200", headers=PROXIED).body["items"]
    refused = [one for one in records if one["action"] == "session.started" and one["outcome"] != "done"]
    assert [one["outcome"] for one in refused] == ["unauthenticated"] * 5

    assert sign_in(server, address="203.0.113.5", device=device).status == HTTPStatus.CREATED
    new = sign_in(server, address="192.0.2.77")
    assert (new.status, new.body["code"]) == (403, "captcha_required")
    wrong = sign_in(server, address="192.0.2.77", captcha="AAAA")
    assert (wrong.status, wrong.body["code"]) == (403, "captcha_required")
    solution = solve(server.call("/v1/captcha", headers=PROXIED).body)
    assert sign_in(server, address="192.0.2.77", captcha=solution).status == HTTPStatus.CREATED
    spent = sign_in(server, address="192.0.2.77", captcha=solution)
    assert (spent.status, spent.body["code"]) == (403, "captcha_required")

    server.kill()
    server.start()
    again = sign_in(server, address="192.0.2.77")
    assert (again.status, again.body["code"]) == (403, "captcha_required")  # it survives a restart
    late = [sign_in(server, address="198.51.100.3", password="wrong", captcha="AAAA") for _ in range(2)]
    assert {one.body["code"] for one in late} == {"captcha_required"}


def test_k8_tries_from_one_address_are_told_when_to_come_back(server: Serving) -> None:
    tries = [sign_in(server, address="198.51.100.7", password="wrong pass phrase") for _ in range(3)]
    while tries[-1].status == HTTPStatus.UNAUTHORIZED:  # the delay doubles, so this ends however slow we are
        tries.append(sign_in(server, address="198.51.100.7", password="wrong pass phrase", captcha="AAAA"))
    assert (tries[-1].status, tries[-1].body["code"]) == (429, "too_many_requests")
    assert tries[-1].headers["retry-after"] == str(tries[-1].body["retry_after"])
    elsewhere = sign_in(server, address="198.51.99.7", password="wrong pass phrase")
    assert elsewhere.status != HTTPStatus.TOO_MANY_REQUESTS


def test_pitfall_11_sign_ins_by_the_hundred_do_not_hold_up_the_rest(server: Serving) -> None:
    key, token = owners_key(server)
    reset = server.call(f"/v1/keys/{key}/resets", {"reason": "routine"}, key=token, headers=PROXIED).body["id"]
    answers: list[tuple[int, str]] = []

    def flood(number: int) -> None:
        answer = sign_in(server, user=f"nobody{number}", address=f"10.0.{number}.1", password="not the pass phrase")
        answers.append((answer.status, answer.body["code"]))

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert server.call(f"/v1/keys/{key}", headers=PROXIED).status == HTTPStatus.OK
    proof = {"kind": "password", "password": PASSPHRASE}
    proven = server.call(f"/v1/resets/{reset}/proofs", proof, key=token, headers=PROXIED)
    assert proven.status == HTTPStatus.OK  # whoever is signed in has places of their own
    reckoned = [status for status, _ in answers if status == HTTPStatus.UNAUTHORIZED]
    for thread in threads:
        thread.join()
    assert len(reckoned) < 20  # the others had not to wait for them
    assert set(answers) == {(401, "unauthenticated"), (503, "busy")}
