"""Second factors, recovery codes and sessions by the pages, without a script."""

import json
import re

import pyotp

from tests.passkey import Passkey
from tests.totp import confirmed
from tests.web.house import PASSPHRASE, House
from tests.web.person import Page, Person

PATH = "/account/security"


def proven(house: House) -> Person:
    """Somebody new who has just shown their password again."""
    person = house.signed_in()
    page = person.submit("/account/proof", at=PATH, password=PASSPHRASE)
    assert page.path == PATH
    assert page.has_form(f"{PATH}/totp")
    return person


def secret_on(page: Page) -> str:
    found = re.search(r'<code class="secret"[^>]*>([A-Z2-7 ]+)</code>', page.html)
    assert found, page.text
    return found[1].replace(" ", "")


def codes_on(page: Page) -> list[str]:
    return re.findall(r"<li>([A-Z2-9-]+)</li>", page.html)


def with_app(house: House) -> tuple[Person, pyotp.TOTP, list[str]]:
    """Somebody whose app is enrolled by the page; its present code is not used yet."""
    person = proven(house)
    app = pyotp.TOTP(secret_on(person.submit(f"{PATH}/totp", name="phone")))
    codes = confirmed(app, lambda code: codes_on(person.submit(f"{PATH}/totp/confirm", code=code)))
    return person, app, codes


def test_changes_are_offered_once_the_person_has_shown_who_they_are(house: House) -> None:
    person = house.signed_in()
    page = person.see(PATH)
    assert not page.has_form(f"{PATH}/totp")
    before = person.session
    page = person.submit("/account/proof", password="wrong")
    assert page.status == 403
    assert 'id="password-error"' in page.html
    assert not page.has_form(f"{PATH}/totp")
    page = person.submit("/account/proof", password=PASSPHRASE)
    assert page.has_form(f"{PATH}/totp")
    assert person.session != before, "more is allowed, so the token is another one"
    thief = house.person()
    thief.take(before)
    assert thief.see(PATH).path == "/"


def test_changes_posted_without_that_proof_are_refused(house: House) -> None:
    person = house.signed_in()
    person.see(PATH)
    csrf = {"csrf": person.csrf}
    for path, fields in (
        ("/totp", {"name": "phone"}),
        ("/passkeys/challenge", {}),
        ("/passkeys", {"name": "laptop", "credential": "{}"}),
        ("/recovery-codes", {}),
        ("/remove", {"authenticator": "aut_x"}),
    ):
        page = person.post(PATH + path, csrf | fields)
        assert page.status == 403, path
        assert "secret" not in page.html.replace("You see this secret", ""), path


def test_k2_an_app_is_enrolled_with_its_secret_shown_once(house: House) -> None:
    person = proven(house)
    page = person.submit(f"{PATH}/totp", name="my phone")
    secret = secret_on(page)
    assert (page.status, "<svg" in page.html, 'style="' in page.html) == (201, True, False)
    wrong = person.submit(f"{PATH}/totp/confirm", code="000000")
    assert 'id="code-error"' in wrong.html
    assert secret[:4] not in wrong.html
    codes = codes_on(person.submit(f"{PATH}/totp/confirm", code=pyotp.TOTP(secret).now()))
    assert len(set(codes)) == 10
    page = person.see(PATH)
    assert "my phone" in page.text
    assert "10 codes are left" in page.text
    assert not [one for one in (secret, *codes) if one in page.html]


def test_k2_a_passkey_is_enrolled_renamed_and_removed(house: House) -> None:
    person = proven(house)
    passkey = Passkey(origin=house.url, rp_id="localhost")
    options = person.client.post(f"{PATH}/passkeys/challenge", data={"csrf": person.csrf}).json()
    page = person.submit(f"{PATH}/passkeys", name="laptop", credential=json.dumps(passkey.create(options)))
    assert len(codes_on(page)) == 10
    page = person.submit(f"{PATH}/rename", at=PATH, name="old laptop")
    assert "Renamed" in page.text
    assert "old laptop" in page.text
    page = person.submit(f"{PATH}/remove")
    assert "old laptop" not in page.text
    assert "You have none yet" in page.text


def test_who_has_a_second_factor_is_asked_for_it_and_not_for_the_password(house: House) -> None:
    _, email = house.user()
    app, codes = house.totp(email)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    person.submit("/sign-in/second", totp=app.now())
    page = person.see(PATH)
    kinds = {one.fields["kind"] for one in page.forms if one.action == "/account/proof"}
    assert kinds == {"totp", "recovery_code"}
    fields = next(one.fields for one in page.forms if one.fields.get("kind") == "recovery_code")
    assert person.post("/account/proof", fields | {"kind": "password", "password": PASSPHRASE}).has_form(
        "/account/proof"
    )
    fields = next(one.fields for one in person.page.forms if one.fields.get("kind") == "recovery_code")
    assert person.post("/account/proof", fields | {"recovery_code": codes[1]}).has_form(f"{PATH}/totp")


def test_a_new_set_of_codes_takes_the_place_of_the_old_one(house: House) -> None:
    person, _, codes = with_app(house)
    page = person.submit(f"{PATH}/recovery-codes", at=PATH)
    assert not set(codes_on(page)) & set(codes)
    assert len(codes_on(page)) == 10


def test_names_are_checked_beside_their_field(house: House) -> None:
    person, *_ = with_app(house)
    for wrong in ("", "x" * 201, "a\nb", "a\N{RIGHT-TO-LEFT OVERRIDE}b"):
        page = person.submit(f"{PATH}/rename", at=PATH, name=wrong)
        assert page.status == 422, wrong
        assert re.search(r'id="name-aut_\w+-error"', page.html), wrong
        page = person.submit(f"{PATH}/totp", at=PATH, name=wrong)
        assert 'id="totp-name-error"' in page.html, wrong


def test_somebody_else_s_authenticator_is_not_found(house: House) -> None:
    owner, *_ = with_app(house)
    theirs = owner.see(PATH).form(f"{PATH}/remove").fields["authenticator"]
    other = proven(house)
    for path, fields in (("/remove", {}), ("/rename", {"name": "mine"}), ("/totp/confirm", {"code": "000000"})):
        page = other.post(PATH + path, {"csrf": other.csrf, "authenticator": theirs} | fields)
        assert page.status == 404, path
        other.see(PATH)
    assert owner.see(PATH).has_form(f"{PATH}/remove")
