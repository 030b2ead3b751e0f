"""Webhooks by the pages: added with a secret shown once, tested, rotated, suspended, removed (R50, pitfall 25)."""

import itertools
import re
from collections.abc import Iterator

import pytest

from tests.web.house import House, opened
from tests.web.person import Page, Person
from tests.webhook_receiver import WebhookReceiver

PATH = "/account/webhooks"
URL = "https://hooks.example.com/keyturn"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server whose webhooks may call this machine."""
    folder = tmp_path_factory.mktemp("hooks")
    config = folder / "keyturn.toml"
    config.write_text("webhooks_to_loopback = true\n")
    with opened(folder / "data", flags=("--config", str(config))) as house:
        yield house


def secret_on(page: Page) -> str:
    found = re.search(r"whsec_[\w+/=]+", page.html)
    assert found, page.text
    return found[0]


def added(owner: Person, url: str = URL) -> str:
    """The secret of a new webhook."""
    page = owner.submit(PATH, at=PATH, url=url, events="*")
    assert page.status == 201, page.text
    return secret_on(page)


def test_a_webhook_s_secret_is_shown_once(house: House) -> None:
    owner = house.signed_in()
    first = added(owner)
    page = owner.see(PATH)
    assert URL in page.text
    assert "whsec_" not in page.html
    second = secret_on(owner.submit(f"{PATH}/rotate"))
    assert second != first
    assert "version 2" in owner.see(PATH).text


def test_a_form_that_is_sent_twice_makes_one_webhook(house: House) -> None:
    owner = house.signed_in()
    sent = owner.see(PATH).form(PATH).fields | {"url": URL}
    assert owner.post(PATH, sent).status == 201
    page = owner.post(PATH, sent)
    assert "was shown before" in page.text
    assert len([one for one in page.forms if one.action == f"{PATH}/test"]) == 1


def test_a_test_reaches_the_program(local: House) -> None:
    owner = local.signed_in()
    with WebhookReceiver() as receiver:
        secret = added(owner, f"{receiver.url}/hook")
        page = owner.submit(f"{PATH}/test", at=PATH)
        assert "A test is on its way" in page.text
        comes = (receiver.deliveries(secret, count)[-1].event["type"] for count in itertools.count(1))
        assert "webhook.test" in comes, "each of them signed"


def test_a_webhook_is_suspended_resumed_and_removed(house: House) -> None:
    owner = house.signed_in()
    added(owner)
    assert "suspended" in owner.submit(f"{PATH}/suspend", at=PATH).text
    assert "suspended" not in owner.submit(f"{PATH}/resume").text
    page = owner.submit(f"{PATH}/remove")
    assert URL not in page.text
    assert "No webhooks yet" in page.text


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com", "https://127.0.0.1/", "https://2130706433/", "javascript:1"]
)
def test_pitfall_25_where_a_webhook_may_not_call_is_said_beside_the_field(house: House, url: str) -> None:
    page = house.signed_in()
    answer = page.submit(PATH, at=PATH, url=url, events="*")
    assert answer.status == 422
    assert 'id="url-error"' in answer.html
    answer = page.submit(PATH, url=URL, events="everything, please")
    assert 'id="events-error"' in answer.html


def test_who_may_not_change_webhooks_is_not_offered_it(house: House) -> None:
    account = house.account()
    owner = house.signed_in(account)
    added(owner)
    webhook = owner.see(PATH).form(f"{PATH}/test").fields["webhook"]
    foreign = house.signed_in()
    for role, person, seen in (
        ("auditor", house.signed_in(account, role="auditor"), 200),
        ("member", house.signed_in(account, role="member"), 403),
        ("foreign", foreign, 200),
    ):
        page = person.see(PATH)
        assert page.status == seen, role
        assert not page.has_form(f"{PATH}/test"), role
        person.see("/account")
        for step in ("test", "rotate", "suspend", "remove"):
            sent = {"csrf": person.csrf, "webhook": webhook}
            assert person.post(f"{PATH}/{step}", sent).status in (403, 404), (role, step)
            person.see("/account")
    assert owner.see(PATH).has_form(f"{PATH}/suspend")
