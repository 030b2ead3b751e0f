"""The account's own pages: overview, choice of account, where resets may start, and the password."""

import re

import pytest

from tests.web.house import PASSPHRASE, House

NEW = "seven quiet herons over the mill"
SECURITY = "/account/security"
ALLOWLISTS = "/account/allowlists"


def test_the_overview_says_what_holds_in_plain_words(house: House) -> None:
    strict = house.policy(
        max_age="60d", cool_down="24h", proofs=["password+totp"], on_password_change="stop:3d", reset_origin="any"
    )
    person = house.signed_in(house.account(policy=strict))
    text = person.see("/account").text
    for said in (
        "60 days; then a reset is required.",
        "You show your password and a code from your app.",
        "A new secret is accepted only after 1 day.",
        "Keys stop after 3 days unless they are reset.",
        "Resets may start from any address.",
        "At most 50 for each person.",
        f"Policy {strict}",
        "Owner",
    ):
        assert said in text, said


def test_a_floor_is_named_beside_what_it_made(house: House) -> None:
    lax, floor = house.policy(max_age="90d"), house.policy(max_age="30d")
    page = house.signed_in(house.account(policy=lax, floor=floor)).see("/account")
    assert re.search(rf"30 days; then[^<]*<small>policy {floor}</small>", page.html)


def test_who_may_not_see_something_is_not_shown_it(house: House) -> None:
    account = house.account()
    for role, seen in (("owner", True), ("admin", True), ("auditor", True), ("member", False)):
        person = house.signed_in(account, role=role)
        page = person.see("/account")
        assert ("/account/members" in page.links, ALLOWLISTS in page.links) == (seen, seen), role
        page = person.see(ALLOWLISTS)
        assert page.status == (200 if seen else 403), role
        assert page.has_form("/account/proof") == (role == "owner"), role
        assert not page.has_form(ALLOWLISTS), "not before they have shown who they are"
        person.see("/account")
        assert person.post(ALLOWLISTS, {"csrf": person.csrf, "networks": "192.0.2.0/24"}).status == 403, role


def test_who_belongs_to_several_accounts_chooses_one(house: House) -> None:
    one, other = house.account(), house.account()
    user, email = house.user(one)
    house.join(other, user)
    person = house.person()
    page = person.sign_in(email, PASSPHRASE)
    assert page.path == "/accounts"
    before = person.session
    choices = {form.fields["account"]: form.fields for form in page.forms if form.action == "/accounts"}
    assert set(choices) == {one, other}
    assert person.post("/accounts", choices[other]).path == "/keys"
    assert person.session != before
    assert other in person.see("/account").html
    foreign = house.account()
    assert person.post("/accounts", {"csrf": person.csrf, "account": foreign}).status == 404


def test_k9_where_resets_may_start_is_said_and_changed(house: House) -> None:
    account = house.account()
    person = house.signed_in(account)
    assert person.submit("/account/proof", at=ALLOWLISTS, password=PASSPHRASE).path == ALLOWLISTS
    page = person.submit(ALLOWLISTS, networks="192.0.2.7\n2001:DB8::/32, 198.51.100.0/24")
    assert "Saved" in page.text
    assert "which is not on the list" in page.text
    kept = house.server.call(f"/v1/accounts/{account}").body["reset_allowlist"]
    assert kept == ["192.0.2.7/32", "2001:db8::/32", "198.51.100.0/24"]
    for wrong in ("nowhere", "10.0.0.1/99", "<script>", "127.0.0.1/8"):
        page = person.submit(ALLOWLISTS, networks=wrong)
        assert page.status == 422, wrong
        assert 'id="networks-error"' in page.html
        assert page.form(ALLOWLISTS).fields["networks"].strip() == wrong
    assert house.server.call(f"/v1/accounts/{account}").body["reset_allowlist"] == kept
    assert "Saved" in person.submit(ALLOWLISTS, networks="127.0.0.0/8").text
    assert "which is on the list" in person.page.text


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("any", "the policy lets resets start from anywhere all the same"),
        ("step_up_if_new", "a reset from here takes a second factor"),
        ("allowlist_only", "from here you could not reset a key"),
    ],
)
def test_k9_what_it_means_to_be_off_the_list_is_said_as_the_policy_has_it(house: House, origin: str, said: str) -> None:
    account = house.account(policy=house.policy(reset_origin=origin))
    house.server.call(f"/v1/accounts/{account}", {"reset_allowlist": ["192.0.2.0/24"]}, method="PATCH")
    assert said in house.signed_in(account).see(ALLOWLISTS).text


def test_k15_the_password_page_says_first_what_a_change_does(house: House) -> None:
    for rule, text in (
        ("none", "Your keys go on as they are when you change it."),
        ("reset:7d", "These keys are to be reset; their old secrets end within 7 days:"),
        ("stop:3d", "These keys end after 3 days, unless you reset them before:"),
        ("hold:48h", "Nothing that would widen a key can be done until"),
    ):
        policy = house.policy(on_password_change=rule, reset_origin="any")
        account = house.account(policy=policy)
        user, email = house.user(account)
        key = house.server.create(name="order router", account_id=account, owner_id=user)
        other = house.person()
        other.sign_in(email, PASSPHRASE)
        person = house.person()
        person.sign_in(email, PASSPHRASE)
        page = person.see(SECURITY)
        assert text in page.text, rule
        assert (f"/keys/{key['id']}" in page.links) == (rule[:4] in ("rese", "stop")), rule
        before = person.session
        page = person.submit(f"{SECURITY}/password", old_password=PASSPHRASE, new_password=NEW)
        assert "Your password is changed" in page.text, page.text
        assert person.session != before
        assert other.see("/keys").path == "/"
        assert person.see("/keys").path == "/keys"
        reset_waits = house.server.call(f"/v1/keys/{key['id']}").body["status"]
        assert reset_waits in ("active", "awaiting_reset")
        resets = house.server.call(f"/v1/resets?key_id={key['id']}").body["items"]
        assert bool(resets) == rule.startswith("reset"), rule


def test_what_is_wrong_with_a_change_of_password_stands_beside_its_field(house: House) -> None:
    person = house.signed_in()
    page = person.submit(f"{SECURITY}/password", at=SECURITY, old_password="wrong", new_password=NEW)
    assert 'id="old_password-error"' in page.html
    page = person.submit(f"{SECURITY}/password", old_password=PASSPHRASE, new_password="short")
    assert 'id="new_password-error">Too short: at least 15' in page.html
    assert NEW not in page.html


def test_pitfall_27_names_are_shown_safely_everywhere(house: House) -> None:
    account = house.account(name="Customer <i>")
    _, email = house.user(account, name="Maria <i>Lind")
    person = house.person(agent="agent <script>alert(1)</script>")
    person.sign_in(email, PASSPHRASE)
    for path in ("/account", "/account/sessions", SECURITY, ALLOWLISTS, "/keys"):
        html = person.see(path).html
        assert "<i>" not in html, path
        assert "<script>alert" not in html, path
    assert "Maria &lt;i&gt;Lind" in person.see("/account").html
