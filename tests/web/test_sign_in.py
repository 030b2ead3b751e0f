"""Signing in by the pages, as a browser without a script does it."""

import json

from tests.captcha import solve
from tests.web.house import PASSPHRASE, House
from tests.web.person import Person

SECOND = "/sign-in/second"


def on_the_way_in(house: House, email: str) -> Person:
    """Past the password, before the second factor."""
    person = house.person()
    assert person.sign_in(email, PASSPHRASE).path == SECOND
    return person


def test_k1_a_person_signs_in_with_an_address_and_a_password(house: House) -> None:
    _, email = house.user(name="Maria Lind")
    person = house.person()
    page = person.sign_in(email, PASSPHRASE)
    assert (page.path, page.status) == ("/keys", 200)
    assert "Maria Lind" in page.text
    assert person.see("/").path == "/keys"


def test_who_is_signed_out_is_nobody(house: House) -> None:
    person = house.signed_in()
    before = person.session
    assert "You are signed out" in person.submit("/sign-out").text
    assert person.see("/keys").path == "/"
    person.take(before)
    assert person.see("/keys").path == "/"


def test_pitfall_11_whoever_does_not_get_in_learns_nothing(house: House) -> None:
    _, email = house.user()
    seen = set()
    for user, password in ((email, "wrong"), ("nobody@example.com", "wrong"), ("nobody", PASSPHRASE), ("somebody", "")):
        person = house.person()
        page = person.sign_in(user, password)
        nonces = {person.csrf, user}
        html = page.html
        for one in nonces - {""}:
            html = html.replace(one, "")
        seen.add((page.status, html, tuple(sorted(set(page.headers) - {"set-cookie"}))))
        assert not person.session
    assert len(seen) == 1


def test_the_session_s_token_changes_at_every_step(house: House) -> None:
    """Session fixation: a token known to somebody else before a step is worth nothing after it."""
    _, email = house.user()
    app, _ = house.totp(email)
    person = house.person()
    person.see("/")
    planted = "kts_" + "x" * 43
    person.client.cookies.set("keyturn", planted, domain="localhost.local")
    person.see("/")
    assert person.submit("/sign-in", user=email, password=PASSPHRASE).path == SECOND
    half = person.session
    assert person.submit(SECOND, totp=app.now()).path == "/keys"
    assert len({planted, half, person.session}) == 3
    thief = house.person()
    for old in (planted, half):
        thief.take(old)
        assert thief.see("/keys").path == "/"
        assert thief.see(SECOND).path == "/"
    thief.take(person.session)
    assert thief.see("/keys").path == "/keys", "the test itself can tell"


def test_half_a_session_opens_no_page(house: House) -> None:
    _, email = house.user()
    house.totp(email)
    person = on_the_way_in(house, email)
    for path in ("/keys", "/keys/new"):
        assert person.see(path).path == SECOND
    page = person.see("/")
    assert page.path == SECOND
    assert page.has_form("/sign-in/again")


def test_k2_each_kind_of_second_factor_opens_the_session(house: House) -> None:
    _, email = house.user()
    app, codes = house.totp(email)
    for kind, code in (("totp", app.now()), ("recovery_code", codes[0].lower())):
        person = on_the_way_in(house, email)
        fields = next(one for one in person.page.forms if one.fields.get("kind") == kind).fields
        assert person.post(SECOND, fields | {kind: code}).path == "/keys", kind
        again = on_the_way_in(house, email)
        used = again.post(SECOND, again.page.forms[0].fields | {"kind": kind, kind: code})
        assert (used.path, used.status) == (SECOND, 403), kind


def test_k2_a_passkey_opens_the_session(house: House) -> None:
    _, email = house.user()
    passkey = house.passkey(email)
    person = on_the_way_in(house, email)
    csrf = person.csrf
    options = person.client.post("/sign-in/passkey", data={"csrf": csrf}).json()
    shown = json.dumps(passkey.get(options))
    assert person.submit(SECOND, credential=shown).path == "/keys"
    again = on_the_way_in(house, email)
    assert again.submit(SECOND, credential=shown).status == 403


def test_a_passkey_s_answer_may_be_any_garbage(house: House) -> None:
    _, email = house.user()
    house.passkey(email)
    for garbage in ("", "{", "[]", "null", "[" * 20_000, '{"id": 7}', '{"response": {"clientDataJSON": 3}}'):
        person = on_the_way_in(house, email)
        assert person.submit(SECOND, credential=garbage).status == 403, garbage[:40]


def test_a_wrong_code_says_so_beside_its_field_and_too_many_end_it(house: House) -> None:
    _, email = house.user()
    app, _ = house.totp(email)
    person = on_the_way_in(house, email)
    person.submit(SECOND, totp=app.now())  # a browser that is known is not held up by delays
    person.submit("/sign-out")
    assert person.sign_in(email, PASSPHRASE).path == SECOND
    for left in (4, 3, 2, 1):
        page = person.submit(SECOND, totp="000000")
        assert page.status == 403
        assert f'id="totp-error">That was not right. Tries left: {left}.' in page.html
    page = person.submit(SECOND, totp="000000")
    assert page.has_form("/sign-in")
    assert "Too many wrong answers" in page.text
    assert person.see(SECOND).path == "/"


def test_who_begins_again_leaves_nothing_behind(house: House) -> None:
    _, email = house.user()
    house.totp(email)
    person = on_the_way_in(house, email)
    half = person.session
    assert person.submit("/sign-in/again").path == "/"
    person.take(half)
    assert person.see(SECOND).path == "/"


def test_k8_after_wrong_passwords_from_everywhere_a_captcha_lets_its_owner_in(house: House) -> None:
    _, email = house.user()
    for _ in range(5):
        page = house.person().sign_in(email, "wrong")
        assert "altcha-widget" not in page.html
    person = house.person()
    page = person.sign_in(email, PASSPHRASE)
    assert "altcha-widget" in page.html
    assert "Several wrong passwords were tried for this name" in page.text
    solution = solve(person.client.get("/v1/captcha").json())
    sent = page.form("/sign-in").fields | {"user": email, "password": PASSPHRASE, "altcha": solution}
    assert person.post("/sign-in", sent).path == "/keys"
    stranger = house.person()
    stranger.sign_in(email, PASSPHRASE)
    again = stranger.post("/sign-in", sent | {"csrf": stranger.csrf})
    assert "altcha-widget" in again.html, "a solution counts once"


def test_k8_a_try_that_comes_too_early_is_told_how_long_to_wait(house: House) -> None:
    _, email = house.user()
    person = house.person()
    for _ in range(3):
        assert person.sign_in(email, "wrong").status == 401
    page = person.sign_in(email, "wrong")
    assert page.status == 429
    assert "Too many tries. Seconds to wait: " in page.text
    assert page.has_form("/sign-in")


def test_the_language_is_chosen_where_one_is(house: House) -> None:
    person = house.signed_in()
    for path in ("/account/security", "/forgot"):
        page = person.submit("/language", at=path, language="de")
        assert page.path == path
        assert 'lang="de"' in page.html
        assert person.submit("/language", language="en").path == path
    person.see("/account")
    for back in ("//evil.example", "https://evil.example", "/\\evil.example", "/%2f/evil.example", "/a?b=c", "x"):
        sent = {"csrf": person.csrf, "language": "en", "back": back}
        answer = person.client.post("/language", data=sent)
        assert answer.headers["location"] == "/", back
