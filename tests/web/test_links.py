"""Mailed links: shown by GET and HEAD as often as anybody likes, used by the button only (R50, R51, pitfall 21)."""

import json

import pytest

from tests.web.house import FORGOTTEN, PASSPHRASE, House
from tests.web.person import Person

NEW = "seven quiet herons over the mill"


def scan(house: House, link: str) -> Person:
    """As a scanner of mails does: HEAD, then five GETs, without a cookie."""
    scanner = house.person(agent="MailGuard", keeps=False)
    assert scanner.client.head(link).status_code in (200, 403)
    for _ in range(5):
        scanner.see(link)
    return scanner


def test_a_forgotten_password_is_set_anew_by_its_link(house: House) -> None:
    _, email = house.user(name="Maria Lind")
    elsewhere = house.person()
    elsewhere.sign_in(email, PASSPHRASE)
    link = house.forgotten(email)
    before = house.counted()
    scan(house, link)
    assert house.counted() == before
    person = house.person()
    page = person.see(link)
    assert "Maria Lind" in page.text
    page = person.submit(link, new_password=NEW)
    assert "Your new password is set" in page.text
    assert elsewhere.see("/keys").path == "/"
    assert person.sign_in(email, PASSPHRASE).status == 401
    assert person.sign_in(email, NEW).path == "/keys"
    for one in (person, house.person()):
        assert one.see(link).status == 410, "a link is used once"
    person.see("/account")
    assert person.post(link, {"csrf": person.csrf, "new_password": NEW}).status == 410


def test_what_is_wrong_with_a_new_password_stands_beside_it(house: House) -> None:
    _, email = house.user(name="Maria Lind")
    link = house.forgotten(email)
    person = house.person()
    for password, text in (
        ("short", "Too short: at least 15 characters"),
        ("abcabcabcabcabcabcabc", "It is a pattern"),
        ("passwordpassword", "guessed first"),
        ("maria lind customer", "names that others know"),
        ("x" * 1100, "Too long"),
    ):
        page = person.submit(link, at=link, new_password=password)
        assert page.status == 422, password
        assert text in page.text, page.text
        assert 'id="new_password-error"' in page.html
    assert person.submit(link, new_password=NEW).path == "/?done=password_set"


def test_k11_no_password_is_set_over_a_line_that_others_read(house: House) -> None:
    _, email = house.user()
    link = house.forgotten(email)
    person = house.person()
    form = person.see(link).form(link).fields
    assert person.post(link, form | {"new_password": NEW}, via="1.1 somebody").status == 403
    assert person.sign_in(email, NEW).status == 401
    assert person.submit(link, at=link, new_password=NEW).path == "/?done=password_set", "the link is not used up"


def test_whoever_has_a_second_factor_shows_it_for_a_new_password(house: House) -> None:
    _, email = house.user()
    app, codes = house.totp(email)
    link = house.forgotten(email)
    person = house.person()
    page = person.submit(link, at=link, new_password=NEW)
    assert page.status == 401
    assert "Show your second factor as well" in page.text
    page = person.submit(link, new_password=NEW, totp="000000")
    assert 'id="totp-error"' in page.html
    assert person.sign_in(email, NEW).status == 401
    assert person.submit(link, at=link, new_password=NEW, totp=app.now()).path == "/?done=password_set"
    link = house.forgotten(email)
    page = person.submit(link, at=link, new_password=NEW + " again", recovery_code=codes[0])
    assert page.path == "/?done=password_set"


def test_a_passkey_is_shown_for_a_new_password(house: House) -> None:
    _, email = house.user()
    passkey = house.passkey(email)
    link, other = house.forgotten(email), house.forgotten(email)
    person = house.person()
    person.see(link)
    options = person.client.post(f"{link}/passkey", data={"csrf": person.csrf}).json()
    shown = json.dumps(passkey.get(options))
    sent = {"csrf": person.csrf, "new_password": NEW, "kind": "passkey", "credential": shown}
    assert person.post(other, sent).status == 403, "it was made for the other link"
    person.see(link)
    options = person.client.post(f"{link}/passkey", data={"csrf": person.csrf}).json()
    sent |= {"csrf": person.csrf, "credential": json.dumps(passkey.get(options))}
    assert person.post(link, sent).path == "/?done=password_set"


def test_pitfall_11_asking_for_a_mail_tells_nobody_who_there_is(house: House) -> None:
    _, email = house.user()
    seen = set()
    for user in (email, "nobody@example.com", "nobody", "<b>"):
        person = house.person()
        page = person.submit("/forgot", at="/forgot", user=user)
        seen.add((page.status, page.html.replace(person.csrf, "")))
    assert len(seen) == 1
    assert not house.mails("nobody@example.com")


@pytest.mark.parametrize("path", ["ktl_" + "x" * 43, "x", "%00", "ktl_%F0%9F%98%80", "a" * 2000])
def test_a_link_that_is_none_is_one_page(house: House, path: str) -> None:
    page = house.person().see(f"/links/{path}")
    assert page.status == 404
    assert "<form" not in page.html.partition("<main")[2].partition("</main>")[0]


def test_r50_not_me_stops_a_key_from_anywhere_with_a_box_and_a_button(house: House) -> None:
    account = house.account()
    owner, email = house.user(account)
    key = house.server.create(name="order router", account_id=account, owner_id=owner)
    link = house.link(email, "New API key")
    button = f"{link}/stop"
    before = house.counted()
    scanner = scan(house, link)
    assert house.counted() == before
    page = scanner.see(link)
    assert scanner.post(button, page.form(button).fields).status == 403, "without its cookie no button works"
    assert house.server.verdict(key["secret"]) == "valid"
    person = house.person()
    page = person.see(link)
    assert "order router" in page.text
    assert key["secret"] not in page.html
    page = person.submit(button)
    assert page.status == 422
    assert 'id="sure-error"' in page.html
    assert house.server.verdict(key["secret"]) == "valid"
    page = person.submit(button, sure="yes")
    assert "The key is stopped" in page.text
    assert house.server.verdict(key["secret"]) == "suspended"
    for path in (link, button):
        again = house.person().see(path)
        assert "The key is stopped" in again.text
        assert not again.has_form(button)


def test_r50_not_me_stops_everything_of_a_person(house: House) -> None:
    account = house.account()
    owner, email = house.user(account)
    house.server.create(name="order router", account_id=account, owner_id=owner)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    house.totp(email)
    link = house.link(email, "Second factor added")
    stranger = house.person()
    page = stranger.see(link)
    assert "every session of yours ends" in page.text
    assert "Everything of yours is stopped" in stranger.submit(f"{link}/stop", sure="yes").text
    assert person.see("/keys").path == "/"


def asked_for_a_mail(house: House) -> tuple[Person, str, str, str]:
    """Somebody on a reset that wants a mailed link: their browser, address, the reset's path, the link."""
    account = house.account(policy=house.policy(reset_origin="any", proofs=["email_link"]))
    owner, email = house.user(account)
    key = house.server.create(name="order router", account_id=account, owner_id=owner)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    ask = f"/keys/{key['id']}/reset"
    person.see(f"{ask}?reason=routine")
    reset = person.post(ask, person.page.form(ask).fields | {"reason": "routine"}).path
    wish = next(one.fields for one in person.page.forms if one.fields.get("kind") == "email_link")
    assert person.post(f"{reset}/proofs", wish).status == 200
    return person, email, reset, house.link(email, "Prove your reset of order router")


def test_r51_a_mailed_proof_counts_in_the_browser_that_asked_and_nowhere_else(house: House) -> None:
    person, email, reset, link = asked_for_a_mail(house)
    scan(house, link)
    elsewhere = house.person()
    elsewhere.sign_in(email, PASSPHRASE)
    for other in (house.person(), elsewhere):
        page = other.see(link)
        assert page.status == 403
        assert "Open this link where you asked for it" in page.text
        assert not page.has_form(link)
        assert "order router" not in page.text
        other.see("/forgot")
        assert other.post(link, {"csrf": other.csrf}).status == 403
    page = person.see(link)
    assert "order router" in page.text
    page = person.submit(link)
    assert page.path == f"{reset}?done=link_proven"
    assert page.status == 200
    for one in (person, elsewhere, house.person()):
        assert one.see(link).status == 410, "what is used up says so everywhere"


def test_r51_a_robot_that_presses_the_button_without_the_cookie_proves_nothing(house: House) -> None:
    person, _, reset, link = asked_for_a_mail(house)
    shown = person.see(link)
    robot = house.person(agent="MailGuard", keeps=False)
    assert robot.post(link, shown.form(link).fields).status == 403
    assert robot.post(link, {}).status in (403, 415)
    wanted = [one.fields.get("kind") for one in person.see(reset).forms]
    assert "email_link" in wanted, "it is still wanted"
    assert person.submit(link, at=link).status == 200


def test_pitfall_21_nothing_contains_the_host_that_was_sent(house: House) -> None:
    account = house.account()
    owner, email = house.user(account)
    house.server.create(name="order router", account_id=account, owner_id=owner)
    link = house.link(email, "New API key")
    forged = {"host": "evil.example", "x_forwarded_host": "evil.example", "forwarded": "host=evil.example"}
    person = house.person()
    for path in ("/", "/forgot", "/keys", "/account", link, "/links/x", "/nowhere"):
        page = person.see(path, **forged)
        said = page.html + str(dict(page.headers))
        assert "evil.example" not in said, path
    person.see("/forgot")
    before = len(house.mails(email, FORGOTTEN))
    sent = {"csrf": person.csrf, "user": email}
    answer = person.client.post("/forgot", data=sent, headers={"host": "evil.example"})
    assert "evil.example" not in answer.text + str(dict(answer.headers))
    if answer.status_code == 200:
        house.link(email, FORGOTTEN, after=before)
    assert not [one for one in house.mails(email) if "evil.example" in one.as_string()]
