"""CAPTCHAs as they are made and checked (K2): each right answer names its challenge, an outage passes nobody."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.core.captcha import LASTS
from keyturn.core.instant import Instant
from keyturn.outside import captcha
from keyturn.outside.captcha import Altcha
from keyturn.outside.captcha import SiteVerify as Service
from keyturn.outside.forge import SystemForge
from keyturn.ports.captcha import CaptchaUnavailable
from keyturn.settings import SettingError, Settings
from tests.captcha import GARBAGE, SECRET, UNAVAILABLE, SiteVerify, solve
from tests.loopback import Reply
from tests.world import PEPPER, T0

SECOND = timedelta(seconds=1)
HERE: dict[str, Any] = {"address": None, "now": T0}


def ours(difficulty: int = 50) -> Altcha:
    return Altcha(b"key", difficulty=difficulty)


def opened(answer: str) -> Any:
    return json.loads(b64decode(answer))


def closed(answer: Any) -> str:
    return b64encode(json.dumps(answer).encode()).decode()


def test_k2_a_solved_challenge_is_known_by_its_signature_until_it_ends() -> None:
    made = ours().challenge(now=T0)
    answer = solve(made)
    solved = ours().check(answer, address=None, now=T0)
    assert solved is not None
    assert solved.ends_at == T0 + LASTS
    again = ours().check(closed(opened(answer) | {"more": 1}), address=None, now=T0)
    assert again == solved  # however it is written: it counts once
    assert ours().check(answer, address=None, now=Instant(T0 + LASTS - SECOND)) == solved
    assert ours().check(answer, address=None, now=Instant(T0 + LASTS)) is None
    other = ours().check(solve(ours().challenge(now=T0)), address=None, now=T0)
    assert other is not None
    assert other.digest != solved.digest


def test_an_answer_that_was_bent_is_none() -> None:
    answer = solve(ours().challenge(now=T0))
    assert Altcha(b"another key", difficulty=50).check(answer, **HERE) is None

    def bent(part: str, **changed: object) -> str:
        whole = opened(answer)
        (whole["challenge"]["parameters"] if part == "parameters" else whole[part]).update(changed)
        return closed(whole)

    wrong = {
        "later": bent("parameters", expiresAt=4_000_000_000),
        "for ever": bent("parameters", expiresAt=None),
        "easier": bent("parameters", keyPrefix=""),
        "another algorithm": bent("parameters", algorithm="PBKDF2/SHA-256"),
        "unsigned": bent("challenge", signature=""),
        "not solved": bent("solution", derivedKey="00" * 32),
        "another's": closed(opened(answer) | {"solution": opened(solve(ours().challenge(now=T0)))["solution"]}),
    }
    for story, text in wrong.items():
        assert ours().check(text, **HERE) is None, story


def test_every_challenge_costs_at_least_half_of_the_most() -> None:
    counters = [opened(solve(ours(100).challenge(now=T0)))["solution"]["counter"] for _ in range(50)]
    assert all(50 <= counter <= 100 for counter in counters)
    assert len(set(counters)) > 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["challenge", "solution", "parameters", "x"]), inner)
    ),
)


@settings(max_examples=200)
@given(st.text() | JSON.map(closed) | st.binary().map(lambda noise: b64encode(noise).decode()))
def test_whatever_is_sent_is_an_answer_or_none(text: str) -> None:
    assert ours().check(text, **HERE) is None


@pytest.fixture
def service() -> Iterator[SiteVerify]:
    with SiteVerify() as started:
        yield started


def asking(service: SiteVerify, *, secret: str = SECRET, host: str = "app.test") -> Service:
    return Service("turnstile", site_key="site", secret=secret, host=host, endpoint=service.endpoint)


def test_k2_a_service_is_asked_once_and_believed(service: SiteVerify) -> None:
    given = service.response(hostname="app.test")
    solved = asking(service).check(given, address="192.0.2.7", now=T0)
    assert solved is not None
    assert solved.ends_at == T0 + LASTS
    assert service.heard[0].form == {"secret": SECRET, "response": given, "remoteip": "192.0.2.7"}
    assert asking(service).check(given, **HERE) is None
    assert asking(service).check("made up", **HERE) is None
    heard = len(service.heard)
    assert asking(service).check("", **HERE) is None
    assert len(service.heard) == heard
    assert "remoteip" not in service.heard[-1].form


def test_an_answer_from_another_sites_page_is_none(service: SiteVerify) -> None:
    assert asking(service).check(service.response(hostname="evil.test"), **HERE) is None
    assert asking(service, host="").check(service.response(hostname="any.test"), **HERE) is not None


def test_a_low_score_is_none(service: SiteVerify) -> None:
    for score, good in ((0.9, True), (0.5, True), (0.4, False), ("high", False), (True, True)):
        service.then(Reply(body={"success": True, "hostname": "app.test", "score": score}))
        assert (asking(service).check("any", **HERE) is not None) is good, score


OUTAGES: dict[str, Reply] = {
    "status 503": UNAVAILABLE,
    "garbage": GARBAGE,
    "no verdict": Reply(body={"hostname": "app.test"}),
    "a verdict that is no verdict": Reply(body={"success": "true"}),
    "elsewhere": Reply(status=302, headers={"Location": "https://evil.test/"}),
}


@pytest.mark.parametrize("story", OUTAGES)
def test_k2_an_outage_of_the_service_passes_nobody(story: str, service: SiteVerify) -> None:
    service.then(OUTAGES[story])
    with pytest.raises(CaptchaUnavailable):
        asking(service).check(service.response(hostname="app.test"), **HERE)


def test_k2_a_service_that_is_gone_or_does_not_know_us_passes_nobody(service: SiteVerify) -> None:
    with pytest.raises(CaptchaUnavailable):
        asking(service, secret="guessed").check(service.response(hostname="app.test"), **HERE)
    service.stop()
    with pytest.raises(CaptchaUnavailable) as told:
        asking(service).check("any", **HERE)
    assert SECRET not in str(told.value)


def test_the_settings_choose_and_want_what_a_service_needs(tmp_path: Path) -> None:
    forge = SystemForge(PEPPER)
    plain = captcha.load(Settings(), forge)
    assert (plain.provider, plain.site_key) == ("altcha", "")
    file = tmp_path / "secret"
    flags = {"captcha_provider": "hcaptcha", "captcha_site_key": "site"}
    with pytest.raises(SettingError, match="captcha_secret_file"):
        Settings.load(flags, environ={})
    with pytest.raises(SettingError, match="one of altcha"):
        Settings.load({"captcha_provider": "other"}, environ={})
    chosen = Settings.load(flags | {"captcha_secret_file": file}, environ={})
    file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        captcha.load(chosen, forge)
    file.write_text("hidden\n")
    loaded = captcha.load(chosen, forge)
    assert (loaded.provider, loaded.site_key, loaded.challenge(now=T0)) == ("hcaptcha", "site", {})
