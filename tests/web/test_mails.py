"""The demo's mails: shown where the setting says so, and nowhere else."""

import re
from collections.abc import Iterator

import pytest

from tests.web.house import House, opened


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("demo")
    config = folder / "keyturn.toml"
    config.write_text("show_mails = true\n")
    with opened(folder / "data", flags=("--config", str(config))) as house:
        yield house


def test_mails_are_shown_newest_first_and_their_link_can_be_followed(demo: House) -> None:
    account = demo.account()
    user, email = demo.user(account)
    for name in ("first <b>", "second"):
        demo.server.create(name=name, account_id=account, owner_id=user)
        demo.link(email, f"New API key: {name}")
    person = demo.person()
    page = person.see("/demo/mails")
    assert page.text.index("second") < page.text.index("first <b>")
    assert "<b>" not in page.html
    mail = person.see(next(one for one in page.links if one.startswith("/demo/mails/")))
    assert email in mail.text
    links = [one for one in mail.links if one.startswith("/links/")]
    assert len(links) == 1
    assert "This was not me" in person.see(links[0]).text
    assert "/demo/mails" in person.see("/").links


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e%2fadmin.key", "admin.key", "a" * 500])
def test_nothing_but_mails_is_shown(demo: House, name: str) -> None:
    page = demo.person().see(f"/demo/mails/{name}")
    assert page.status in (404, 200)
    assert demo.server.admin_key not in page.html
    if page.status == 200:
        assert page.path == "/demo/mails"


def test_without_the_setting_there_are_no_such_pages(house: House) -> None:
    account = house.account()
    user, email = house.user(account)
    house.server.create(name="first", account_id=account, owner_id=user)
    house.link(email, "New API key")
    names = [one.stem for one in (house.server.folder / "mails").glob("*.eml")]
    person = house.person()
    for path in ("/demo/mails", *(f"/demo/mails/{name}" for name in names[:1])):
        page = person.see(path)
        assert page.status == 404, path
        assert not re.search(r"/links/ktl_", page.html)
    assert "/demo/mails" not in person.see("/").links
