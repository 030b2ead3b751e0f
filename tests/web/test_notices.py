"""Notices by the pages: addresses that are told, language and zone, what was told (R50)."""

import re

from tests.web.house import PASSPHRASE, House
from tests.web.person import Person

PATH = "/account/notices"
CONFIRM = "Confirm this address"


def proven(house: House) -> tuple[Person, str, str]:
    """Somebody who has just shown their password again, with a key; their address and the key's id."""
    account = house.account()
    user, email = house.user(account)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    page = person.submit("/account/proof", at=PATH, password=PASSPHRASE)
    assert page.path == PATH
    key = house.server.create(name="order router", account_id=account, owner_id=user)
    return person, email, key["id"]


def test_r50_a_further_address_is_told_once_it_is_confirmed(house: House) -> None:
    person, _, key = proven(house)
    second = f"second{next(house.numbers)}@example.com"
    page = person.submit(f"{PATH}/addresses", at=PATH, email=second.upper())
    assert "A mail is on its way there" in page.text
    assert "waits for its link" in page.text
    link = house.link(second, CONFIRM)
    scanner = house.person(keeps=False)
    scanner.client.head(link)
    for _ in range(5):
        scanner.see(link)
    assert scanner.post(link, scanner.page.form(link).fields).status == 403
    assert "waits for its link" in person.see(PATH).text
    reader = house.person()
    assert "Address confirmed" in reader.submit(link, at=link).text
    assert reader.see(link).status == 410
    assert "waits for its link" not in person.see(PATH).text
    house.server.call(f"/v1/keys/{key}/suspend", {})
    house.link(second, "API key suspended")
    page = person.submit(f"{PATH}/addresses/remove", at=PATH)
    assert "for another week" in page.text
    assert second not in page.text
    house.link(second, "was removed")


def test_what_is_wrong_with_an_address_stands_beside_it(house: House) -> None:
    person, email, _ = proven(house)
    for typed, status in (("no address", 422), (email, 409)):
        page = person.submit(f"{PATH}/addresses", at=PATH, email=typed)
        assert page.status == status
        assert 'id="email-error"' in page.html


def test_addresses_change_only_after_a_recent_proof(house: House) -> None:
    person = house.signed_in()
    page = person.see(PATH)
    assert page.has_form("/account/proof")
    assert not page.has_form(f"{PATH}/addresses")
    sent = {"csrf": person.csrf, "email": "second@example.com"}
    assert person.post(f"{PATH}/addresses", sent).status == 403
    assert not house.mails("second@example.com")


def test_another_address_becomes_the_one_to_sign_in_with(house: House) -> None:
    person, first, _ = proven(house)
    second = f"second{next(house.numbers)}@example.com"
    person.submit(f"{PATH}/addresses", at=PATH, email=second)
    assert not person.page.has_form(f"{PATH}/addresses/sign-in"), "not before it is confirmed"
    link = house.link(second, CONFIRM)
    house.person().submit(link, at=link)
    page = person.submit(f"{PATH}/addresses/sign-in", at=PATH, password="wrong")
    assert page.status == 403
    assert re.search(r'id="password-adr_\w+-error"', page.html)
    page = person.submit(f"{PATH}/addresses/sign-in", password=PASSPHRASE)
    assert "From now on you sign in with that address" in page.text
    assert house.person().sign_in(first, PASSPHRASE).status == 401
    assert house.person().sign_in(second, PASSPHRASE).path == "/keys"
    house.link(first, "Address changed")


def test_language_and_zone_are_kept(house: House) -> None:
    person, email, key = proven(house)
    page = person.submit(f"{PATH}/reading", at=PATH, language="de", time_zone="Europe/Berlin")
    assert "Gespeichert" in page.text
    house.server.call(f"/v1/keys/{key}/suspend", {})
    house.link(email, "API-Schlüssel")
    for language, zone, field in (("xx", "Europe/Berlin", "language"), ("en", "Moon/Sea", "time_zone")):
        page = person.submit(f"{PATH}/reading", at=PATH, language=language, time_zone=zone)
        assert page.status == 422
        assert f'id="{field}-error"' in page.html
    elsewhere = house.person(language="en")
    elsewhere.sign_in(email, PASSPHRASE)
    assert "Abmelden" in elsewhere.see("/account").text, "one's own language, also in another browser"


def test_what_was_told_is_shown_to_who_may_audit(house: House) -> None:
    account = house.account()
    user, email = house.user(account)
    house.server.create(name="order router", account_id=account, owner_id=user)
    house.link(email, "New API key")
    for role, seen in (("owner", True), ("auditor", True), ("member", False)):
        page = house.signed_in(account, role=role).see(PATH)
        assert ("Key created" in page.text) == seen, role
        assert email not in page.html, "an address is masked for others"
