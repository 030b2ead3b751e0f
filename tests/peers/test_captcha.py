"""A solved challenge is what the library verifies; the service believes each response once, and its own client only."""

import altcha
import httpx2
import pytest

from tests.captcha import GARBAGE, SECRET, UNAVAILABLE, SiteVerify, solve


@pytest.mark.parametrize(("algorithm", "cost"), [("SHA-256", 1), ("PBKDF2/SHA-256", 100)])
def test_a_challenge_is_solved(algorithm: str, cost: int) -> None:
    challenge = altcha.create_challenge(algorithm, cost, hmac_secret="ours")
    answer = solve(challenge.to_dict())
    assert altcha.verify_solution(answer, "ours").verified
    assert not altcha.verify_solution(answer, "theirs").verified


def _verify(service: SiteVerify, **form: str) -> dict[str, object]:
    answer = httpx2.post(service.endpoint, data=form)
    assert answer.status_code == 200
    said: dict[str, object] = answer.json()
    return said


def test_a_response_is_good_once() -> None:
    with SiteVerify() as service:
        given = service.response(hostname="app.test")
        said = _verify(service, secret=SECRET, response=given, remoteip="192.0.2.1")
        assert (said["success"], said["hostname"]) == (True, "app.test")
        assert service.heard[0].form["remoteip"] == "192.0.2.1"
        assert _verify(service, secret=SECRET, response=given)["error-codes"] == ["timeout-or-duplicate"]


REFUSED = {
    "missing-input-secret": {"response": "x"},
    "missing-input-response": {"secret": SECRET, "response": ""},
    "invalid-input-secret": {"secret": "guessed", "response": "x"},
    "timeout-or-duplicate": {"secret": SECRET, "response": "made up"},
}


@pytest.mark.parametrize("code", REFUSED)
def test_it_refuses(code: str) -> None:
    with SiteVerify() as service:
        assert _verify(service, **REFUSED[code]) == {"success": False, "error-codes": [code]}


def test_it_is_unavailable_and_answers_garbage_when_it_is_told_to() -> None:
    with SiteVerify() as service:
        service.then(UNAVAILABLE, GARBAGE)
        assert httpx2.post(service.endpoint).status_code == 503
        assert httpx2.post(service.endpoint).text.startswith("<h1>")
        assert httpx2.get(service.endpoint).status_code == 404
