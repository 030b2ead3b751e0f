"""Members by the pages: invited by mail, joined, given another role, removed (K15)."""

import pytest

from tests.web.house import PASSPHRASE, House
from tests.web.person import Person

PATH = "/account/members"
NEW = "seven quiet herons over the mill"


def invited(house: House, owner: Person, email: str, role: str = "member") -> str:
    """The link in the invitation that was mailed there."""
    before = len(house.mails(email.lower()))
    if role in ("owner", "admin") and owner.see(PATH).has_form("/account/proof"):
        assert owner.submit("/account/proof", password=PASSPHRASE).path == PATH
    page = owner.submit(f"{PATH}/invite", at=PATH, email=email, role=role)
    assert "The invitation is on its way" in page.text, page.text
    return house.link(email.lower(), "Invitation to", after=before)


def test_somebody_new_is_invited_and_joins(house: House) -> None:
    account = house.account(name="Northwind & Söhne")
    owner = house.signed_in(account)
    email = f"new{next(house.numbers)}@example.com"
    link = invited(house, owner, email.upper())
    assert email in owner.see(PATH).text
    newcomer = house.person()
    page = newcomer.see(link)
    for said in ("Join Northwind & Söhne", "Maria Lind has invited you.", "You will be: Member.", email):
        assert said in page.text, said
    page = newcomer.submit(link, name="Nora New", username="nora.new", new_password=NEW)
    assert (page.path, page.status) == ("/keys", 200)
    assert "Nora New" in page.text
    assert "Nora New" in owner.see(PATH).text
    assert house.person().see(link).status == 410
    assert house.person().sign_in("Nora.New", NEW).path == "/keys"


def test_what_is_wrong_with_a_newcomer_stands_beside_its_field(house: House) -> None:
    owner = house.signed_in()
    link = invited(house, owner, f"new{next(house.numbers)}@example.com")
    newcomer = house.person()
    for fields, wrong in (
        ({"name": "", "new_password": NEW}, "name"),
        ({"name": "a\N{RIGHT-TO-LEFT OVERRIDE}b", "new_password": NEW}, "name"),
        ({"name": "N", "username": "n!", "new_password": NEW}, "username"),
        ({"name": "N", "new_password": "short"}, "new_password"),
    ):
        page = newcomer.submit(link, at=link, **fields)
        assert page.status == 422, fields
        assert f'id="{wrong}-error"' in page.html, fields
        assert not newcomer.session


def test_who_is_signed_in_already_joins_with_a_button(house: House) -> None:
    account = house.account(name="The Other One")
    owner = house.signed_in(account)
    _, email = house.user()
    link = invited(house, owner, email, "admin")
    page = house.person().see(link)
    assert "has a sign-in here already" in page.text
    assert not page.has_form(link)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    before = person.session
    page = person.submit(link, at=link)
    assert page.path == "/keys?done=joined"
    assert "The Other One" in page.text
    assert person.session != before
    again = invited(house, owner, f"new{next(house.numbers)}@example.com")
    page = person.submit(again, at=again)
    assert page.status == 409
    assert "member of the account already" in page.text


def test_an_invitation_is_withdrawn(house: House) -> None:
    owner = house.signed_in()
    link = invited(house, owner, f"new{next(house.numbers)}@example.com")
    page = owner.submit(f"{PATH}/withdraw", at=PATH)
    assert "withdrawn" in page.text
    assert not page.has_form(f"{PATH}/withdraw")
    assert house.person().see(link).status == 410


def test_a_scanner_accepts_no_invitation(house: House) -> None:
    owner = house.signed_in()
    email = f"new{next(house.numbers)}@example.com"
    link = invited(house, owner, email)
    scanner = house.person(keeps=False)
    scanner.client.head(link)
    for _ in range(5):
        scanner.see(link)
    sent = scanner.page.form(link).fields | {"name": "Robot", "new_password": NEW}
    assert scanner.post(link, sent).status == 403
    assert "Robot" not in owner.see(PATH).text
    assert house.person().see(link).status == 200


@pytest.mark.parametrize("rule", ["none", "reset:7d", "stop:3d", "hold:48h"])
def test_k15_what_a_new_member_brings_about_is_said_before_the_click(house: House, rule: str) -> None:
    account = house.account(policy=house.policy(on_member_added=rule))
    user, email = house.user(account)
    house.server.create(name="order router", account_id=account, owner_id=user)
    owner = house.person()
    owner.sign_in(email, PASSPHRASE)
    text = owner.see(PATH).text
    said = {
        "none": "Keys go on as they are when somebody joins.",
        "reset": "These keys are to be reset; their old secrets end within 7 days: policy",
        "stop": "These keys end after 3 days, unless you reset them before:",
        "hold": "Nothing that would widen a key can be done until",
    }[rule.partition(":")[0]]
    assert said in text


def test_a_role_is_changed_and_its_sessions_end(house: House) -> None:
    account = house.account()
    owner = house.signed_in(account)
    user, email = house.user(account, role="member")
    other = house.person()
    other.sign_in(email, PASSPHRASE)
    page = owner.submit(f"{PATH}/{user}/role", at=f"{PATH}/{user}", role="auditor")
    assert "The role is changed" in page.text
    assert other.see("/keys").path == "/"
    last = owner.see(PATH).links
    mine = next(one for one in last if one.startswith(PATH + "/") and user not in one)
    page = owner.submit(f"{mine}/role", at=mine, role="member")
    assert page.status == 409
    assert "keeps at least one owner" in page.text
    page = owner.submit(f"{mine}/remove", at=mine)
    assert "keeps at least one owner" in page.text


def test_a_removed_member_leaves_their_keys(house: House) -> None:
    account = house.account()
    owner = house.signed_in(account)
    heir, _ = house.user(account)
    for keys_to, status in (("", "suspended"), (heir, "active")):
        user, email = house.user(account, role="member", name="Left Behind")
        key = house.server.create(name="their router", account_id=account, owner_id=user)
        gone = house.person()
        gone.sign_in(email, PASSPHRASE)
        page = owner.see(f"{PATH}/{user}")
        assert "their router" in page.text
        page = owner.submit(f"{PATH}/{user}/remove", keys_to=keys_to)
        assert "no member any more" in page.text
        assert gone.see("/keys").path == "/"
        found = house.server.call(f"/v1/keys/{key['id']}").body
        assert (found["status"], found["owner_id"]) == (status, keys_to or user)


def test_who_may_not_change_members_is_not_offered_it(house: House) -> None:
    account = house.account()
    user, _ = house.user(account, role="member")
    for role, status in (("admin", 200), ("auditor", 200), ("member", 403)):
        person = house.signed_in(account, role=role)
        page = person.see(PATH)
        assert page.status == status, role
        assert not page.has_form(f"{PATH}/invite"), role
        person.see("/account")
        csrf = {"csrf": person.csrf}
        for path, fields in (
            (f"{PATH}/invite", {"email": "x@example.com", "role": "owner"}),
            (f"{PATH}/{user}/role", {"role": "owner"}),
            (f"{PATH}/{user}/remove", {}),
        ):
            assert person.post(path, csrf | fields).status in (403, 404), (role, path)


def test_pitfall_18_members_of_another_account_are_not_found(house: House) -> None:
    theirs, _ = house.user()
    owner = house.signed_in()
    assert owner.see(f"{PATH}/{theirs}").status == 404
    owner.see(PATH)
    sent = {"csrf": owner.csrf, "role": "member"}
    for path in (f"{PATH}/{theirs}/role", f"{PATH}/{theirs}/remove"):
        assert owner.post(path, sent).status == 404
