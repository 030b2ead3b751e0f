"""Reset API Key, clicked through: what a customer sees, and what it does."""

import re
import time
from secrets import token_urlsafe
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Locator, Page, expect

from tests.axe import findings
from tests.browser import EACH_LOOK, Chromium, Reader, follow
from tests.web.desk import MARIA, PASSWORD, Desk, sign_in

pytestmark = pytest.mark.needs("chromium")


def ask(page: Page, name: str, reason: str) -> None:
    """From the list to the prompts."""
    follow(page.get_by_role("button", name=f"Reset API Key: {name}"))
    page.locator(f"[name=reason][value={reason}]").check()
    follow(page.get_by_role("button", name="Show what happens"))
    follow(page.get_by_role("button", name="Reset API Key"))


def prove(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Password").fill(password)
    follow(page.get_by_role("button", name="Continue"))


def mint(page: Page) -> str:
    follow(page.get_by_role("button", name="Make the new secret"))
    return page.locator("#secret").inner_text()


def reload_until(page: Page, said: str) -> None:
    """Uses are written down about once a second, and this page does not load itself again."""
    until = time.monotonic() + 30
    while said not in page.locator("main").inner_text():
        assert time.monotonic() < until, page.locator("main").inner_text()
        page.reload()


def secrets_of(page: Page) -> Locator:
    """The table of a key's page that says which secrets are accepted."""
    return page.get_by_role("region", name="Secrets")


def without_uses(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in ("last_used_at", "age", "coming")}


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
def test_k1_a_customer_resets_a_key_and_nothing_else_changes(
    desk: Desk, chromium: Chromium, *, javascript: bool
) -> None:
    """K1, K2, K12: sign in, API Keys, Reset API Key, prompts; the new key verifies, the old one is refused."""
    key, other = desk.key("order router"), desk.key("market data")
    before = {one["id"]: without_uses(one) for one in desk.read("/v1/keys?limit=50")["items"]}
    with chromium.visit(desk.url, Reader(javascript=javascript)) as visit:
        page = visit.page
        sign_in(page)
        expect(page.get_by_role("heading", name="API Keys")).to_be_visible()
        ask(page, "order router", "leaked")
        assert desk.server.verdict(key["secret"]) == "suspended"
        prove(page)
        secret = mint(page)
        assert desk.server.verdict(secret, permissions=["orders:write"]) == "valid"
        assert desk.server.verdict(key["secret"]) == "replaced"
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        expect(page.get_by_role("heading", name="Handover")).to_be_visible()
        page.goto("/keys")  # the session is alive
        expect(page.get_by_role("row", name="order router")).to_contain_text("active")
    after = {one["id"]: without_uses(one) for one in desk.read("/v1/keys?limit=50")["items"]}
    changed = {
        name for one in before if one == key["id"] for name in before[one] if before[one][name] != after[one][name]
    }
    assert changed == {"version", "hint", "secrets"}
    assert {one: after[one] for one in before if one != key["id"]} == {
        one: before[one] for one in before if one != key["id"]
    }
    assert desk.server.verdict(other["secret"]) == "valid"


def test_a_leaked_key_stops_with_the_click_and_the_page_says_so_before(desk: Desk, chromium: Chromium) -> None:
    """R22: the consequences stand on the page before the button, and looking at them stops nothing."""
    key = desk.key()
    desk.server.verdict(
        key["secret"], ip="192.0.2.9", context={"user_agent": "router/1.0"}, permissions=["orders:write"]
    )
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}/reset?reason=leaked")
        expect(page.locator("main")).to_contain_text("The key stops with your click")
        reload_until(page, "192.0.2.9")
        expect(page.locator("main")).to_contain_text("router/1.0")
        assert desk.server.verdict(key["secret"]) == "valid"


def test_the_handover_page_is_live_and_stops_the_old_secret(desk: Desk, chromium: Chromium) -> None:
    """R20, R33: who still uses the old one appears by itself; stop now stops it; the receipt is there."""
    key = desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}/reset?reason=routine&grace=6h")
        follow(page.get_by_role("button", name="Reset API Key"))
        prove(page)
        secret = mint(page)
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        expect(page.locator("#live")).to_contain_text("Nobody has used the old secret")
        expect(page.locator("[data-left]")).to_have_text(re.compile(r"05:59:\d\d"))
        assert desk.server.verdict(key["secret"], ip="198.51.100.4", context={"user_agent": "old-bot/3"}) == "valid"
        expect(page.locator("#live")).to_contain_text("old-bot/3")
        follow(page.get_by_role("button", name="Stop the old secret now"))
        expect(page.get_by_role("status")).to_contain_text("refused from now on")
        assert desk.server.verdict(key["secret"]) == "replaced"
        assert desk.server.verdict(secret) == "valid"
        expect(page.get_by_role("heading", name="Receipt")).to_be_visible()


def test_r15_the_secret_is_shown_once_however_the_page_is_loaded_again(desk: Desk, chromium: Chromium) -> None:
    """K11: neither reload, nor back, nor a second press of the button shows it again."""
    desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        ask(page, "order router", "routine")
        prove(page)
        reset = page.url
        secret = mint(page)
        page.on("dialog", lambda dialog: dialog.accept())
        page.reload()  # posts the same form again
        assert secret not in page.content()
        expect(page.locator("main")).to_contain_text("cannot be shown again")
        page.goto(reset)
        assert secret not in page.content()


def test_the_secret_is_copied_and_saved_with_a_script(desk: Desk, chromium: Chromium) -> None:
    desk.key()
    reader = Reader(permissions=("clipboard-read", "clipboard-write"))
    with chromium.visit(desk.url, reader) as visit:
        page = visit.page
        sign_in(page)
        ask(page, "order router", "routine")
        prove(page)
        secret = mint(page)
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("() => navigator.clipboard.readText()") == secret
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        assert saved.value.path().read_text().strip() == secret


def test_r11_a_wrong_password_is_counted_and_the_last_one_ends_the_reset(desk: Desk, chromium: Chromium) -> None:
    desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        ask(page, "order router", "routine")
        for left in (4, 3, 2, 1):
            prove(page, "not my password at all")
            expect(page.locator("#password-error")).to_contain_text(f"Tries left: {left}")
        prove(page, "not my password at all")
        expect(page.locator("main")).to_contain_text("the reset has ended")


def test_k13_during_a_cool_down_the_old_secret_goes_on_and_the_page_counts(desk: Desk, chromium: Chromium) -> None:
    desk.policy("cool", proofs=["password"], cool_down="24h", grace_default="1h")
    key = desk.key(policy="cool")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}/reset?reason=routine")
        expect(page.locator("main")).to_contain_text("a cool-down of 1 day")
        follow(page.get_by_role("button", name="Reset API Key"))
        prove(page)
        secret = mint(page)
        assert (desk.server.verdict(secret), desk.server.verdict(key["secret"])) == ("not_yet_active", "valid")
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        expect(page.locator("[data-left]").first).to_have_text(re.compile(r"23:59:\d\d"))
        assert page.get_by_role("button", name="Stop the old secret now").count() == 0


def test_r20_a_lost_secret_stops_with_the_first_use_of_the_new_one_and_the_pages_say_so(
    desk: Desk, chromium: Chromium
) -> None:
    """The date on the pages is the latest; what ends it before stands beside it, before the click and after."""
    desk.policy("patient", proofs=["password"], wait_for_first_use=True, grace_default="1h", grace_max="7d")
    lost, slow = desk.key("lost"), desk.key("slow", policy="patient")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        for key, reason, said in (
            (lost, "lost", "at the latest; before that with the first use of the new one"),
            (slow, "routine", "at the latest; before that 1 hour after the first use of the new one"),
        ):
            page.goto(f"/keys/{key['id']}/reset?reason={reason}")
            expect(page.get_by_role("region", name="What will happen")).to_contain_text(said)
            expect(page.get_by_label("Grace")).to_have_count(0 if reason == "lost" else 1)
            follow(page.get_by_role("button", name="Reset API Key"))
            prove(page)
            secret = mint(page)
            follow(page.get_by_role("button", name="Yes, I have stored it"))
            expect(page.locator("#live")).to_contain_text(said)
            assert desk.server.verdict(secret) == "valid"
            expect(page.locator("#live")).not_to_contain_text("at the latest")


def test_r42_what_is_wrong_with_an_own_secret_stands_beside_its_field(desk: Desk, chromium: Chromium) -> None:
    desk.policy("own", proofs=["password"], own_secret="allowed", reset_origin="any")
    desk.server.call(f"/v1/accounts/{desk.account_id}", {"policy": "own"}, method="PATCH")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto("/keys/new")
        page.get_by_label("Name").fill("own")
        page.get_by_text("Bring something of your own").click()
        page.get_by_label("Label in the secret").fill("own1")
        page.get_by_label("A secret of yours").check()
        page.get_by_label("Own secret").fill("short")
        follow(page.get_by_role("button", name="Create key"))
        expect(page.locator("#own_secret-error")).to_contain_text("hard to guess")
        expect(page.get_by_role("alert")).to_have_count(0)
        page.get_by_label("Own secret").fill(token_urlsafe(48))
        follow(page.get_by_role("button", name="Create key"))
        expect(page.get_by_role("status")).to_contain_text("The key was created")
        page.goto(f"{page.url.partition('?')[0]}/reset?reason=routine")
        follow(page.get_by_role("button", name="Reset API Key"))
        prove(page)
        expect(page.get_by_role("main")).not_to_contain_text("secret is shown")
        page.get_by_label("Own secret").fill(token_urlsafe(48))
        follow(page.get_by_role("button", name="Take this secret"))
        expect(page.get_by_role("heading", name="Handover")).to_be_visible()


def test_r43_two_step_stops_the_old_one_first(desk: Desk, chromium: Chromium) -> None:
    """K6: two confirmed steps."""
    desk.policy("steps", base="aws")
    key = desk.key(policy="steps")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        ask(page, "order router", "routine")
        prove(page)
        assert desk.server.verdict(key["secret"]) == "valid"
        follow(page.get_by_role("button", name="Stop the old secret"))
        expect(page.get_by_role("status")).to_contain_text("refused from now on")
        assert desk.server.verdict(key["secret"]) == "replaced"
        secret = mint(page)
        assert desk.server.verdict(secret) == "valid"


def test_r41_a_reset_that_was_ordered_is_claimed(desk: Desk, chromium: Chromium) -> None:
    """R12, R41: it waits on the front page; nothing is minted before its owner has proved who they are."""
    key = desk.key()
    ordered = desk.server.call(f"/v1/keys/{key['id']}/resets", {"reason": "policy", "claim": True, "grace": "7d"})
    assert ordered.status == 201, ordered.text
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        expect(page.locator("main")).to_contain_text("A reset of \u201corder router\u201d was ordered for you")
        follow(page.get_by_role("link", name="order router"))
        expect(page.locator("main")).to_contain_text("A reset was ordered for this key")
        follow(page.get_by_role("link", name="Look at it"))
        follow(page.get_by_role("button", name="Claim this reset"))
        prove(page)
        secret = mint(page)
        assert desk.server.verdict(secret) == "valid"
        page.goto("/keys")
        expect(page.locator("main")).not_to_contain_text("was ordered for you")


def test_r42_a_customer_brings_a_label_and_a_public_key(desk: Desk, chromium: Chromium) -> None:
    """K7: the label stands in the secret; a public key is reset by bringing the next one, and no secret is shown."""
    first, second = (
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        for _ in range(2)
    )
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto("/keys/new")
        page.get_by_label("Name").fill("labelled")
        page.get_by_text("Bring something of your own").click()
        page.get_by_label("Label in the secret").fill("bot1")
        follow(page.get_by_role("button", name="Create key"))
        assert page.locator("#secret").inner_text().startswith("kt_bot1_live_")
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        page.goto("/keys/new")
        page.get_by_label("Name").fill("signing bot")
        asked = page.get_by_label("Public key (Ed25519)")
        page.get_by_text("Bring something of your own").click()
        expect(asked).to_be_hidden()
        page.get_by_label("A public key of yours").check()
        asked.fill("no key at all")
        follow(page.get_by_role("button", name="Create key"))
        expect(page.locator("#public_key-error")).to_be_visible()
        asked.fill(first)
        follow(page.get_by_role("button", name="Create key"))
        expect(page.get_by_role("status")).to_contain_text("The key was created")
        page.goto("/keys")
        ask(page, "signing bot", "routine")
        prove(page)
        expect(page.get_by_role("main")).not_to_contain_text("secret is shown")
        page.get_by_label("Public key (Ed25519)").fill(second)
        follow(page.get_by_role("button", name="Take this public key"))
        expect(page.get_by_role("heading", name="Handover")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
def test_k2_both_sets_of_the_default_policy_are_enough(desk: Desk, chromium: Chromium, *, javascript: bool) -> None:
    """K2, R11, R51: password and CAPTCHA with a script; password and a mailed link without one.

    The link does nothing when it is opened, only when its button is pressed, in this browser.
    """
    desk.policy("default", reset_origin="any", on_member_added="none")
    key = desk.key(policy="default")
    with chromium.visit(desk.url, Reader(javascript=javascript)) as visit:
        page = visit.page
        sign_in(page)
        ask(page, "order router", "routine")
        reset = page.url
        if javascript:
            expect(page.locator("altcha-widget [name=altcha]")).to_have_value(re.compile(".+"))
            follow(page.locator("form:has(altcha-widget) button[type=submit]"))
            expect(page.locator("main")).to_contain_text("a CAPTCHA given")
        else:
            follow(page.get_by_role("button", name="Mail me a link"))
            expect(page.get_by_role("status")).to_contain_text(MARIA)
            link = desk.link("prove", to=MARIA)
            page.goto(link)
            page.goto(reset)
            expect(page.locator("main")).not_to_contain_text("a link we mail you given")
            page.goto(link)
            follow(page.locator("main form button[type=submit]"))
            page.goto(reset)
            expect(page.locator("main")).to_contain_text("a link we mail you given")
        prove(page)
        secret = mint(page)
        assert (desk.server.verdict(secret), desk.server.verdict(key["secret"])) == ("valid", "replaced")


def test_suspend_is_one_button_and_a_reset_brings_the_key_back(desk: Desk, chromium: Chromium) -> None:
    key = desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        follow(page.get_by_role("button", name="Suspend: order router"))
        expect(page.get_by_role("status")).to_contain_text("suspended")
        assert desk.server.verdict(key["secret"]) == "suspended"
        page.goto(f"/keys/{key['id']}")
        expect(secrets_of(page)).to_contain_text("suspended")
        expect(secrets_of(page)).not_to_contain_text("accepted")


def test_revoking_takes_the_key_s_name(desk: Desk, chromium: Chromium) -> None:
    key = desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto(f"/keys/{key['id']}")
        typed = page.get_by_label(re.compile("^Type the key"))
        typed.fill("another")
        follow(page.get_by_role("button", name="Revoke for good"))
        expect(typed).to_have_accessible_description(re.compile("Nothing was changed"))
        expect(typed).to_be_focused()  # it is far down the page
        expect(typed).to_have_value("another")
        assert desk.server.verdict(key["secret"]) == "valid"
        typed.fill("order router")
        follow(page.get_by_role("button", name="Revoke for good"))
        expect(page.get_by_role("status")).to_contain_text("for good")
        assert desk.server.verdict(key["secret"]) == "revoked"
        expect(secrets_of(page)).to_contain_text("over")
        expect(secrets_of(page)).not_to_contain_text("never")
        expect(page.get_by_role("progressbar")).to_have_count(0)


def test_a_key_is_created_and_edited(desk: Desk, chromium: Chromium) -> None:
    """K20: what is wrong stands beside its field and what was typed stays."""
    with chromium.visit(desk.url, Reader(timezone="Europe/Berlin")) as visit:
        page = visit.page
        sign_in(page)
        follow(page.get_by_role("link", name="Create key"))
        page.get_by_label("Name").fill("bot")
        page.get_by_label("Permissions").fill("orders:fly")
        page.get_by_label("Allowlist").fill("10.0.0.0/8, nonsense")
        follow(page.get_by_role("button", name="Create key"))
        expect(page.locator("#permissions-error")).to_be_visible()
        expect(page.locator("#allowlist-error")).to_be_visible()
        page.get_by_label("Permissions").fill("orders:write")
        page.get_by_label("Allowlist").fill("10.0.0.0/8\n2001:db8::/32")
        page.get_by_label("Rate limit").fill("100/1m")
        page.get_by_label("Expires at the end of").fill("2099-12-31")
        follow(page.get_by_role("button", name="Create key"))
        secret = page.locator("#secret").inner_text()
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        assert desk.server.verdict(secret, ip="10.1.2.3", permissions=["orders:write"]) == "valid"
        assert desk.server.verdict(secret, ip="192.0.2.1") == "ip_not_allowed"
        made = desk.read(f"/v1/keys/{page.url.rpartition('/')[2].partition('?')[0]}")
        assert made["expires_at"] == "2099-12-31T23:00:00Z"  # midnight in Berlin
        assert made["limit"] == "100/1m"
        follow(page.get_by_role("link", name="Edit"))
        page.get_by_label("Allowlist").fill("")
        follow(page.get_by_role("button", name="Save"))
        assert desk.server.verdict(secret, ip="192.0.2.1") == "valid"
        assert desk.read(f"/v1/keys/{made['id']}")["expires_at"] == made["expires_at"]


@pytest.mark.parametrize("reader", EACH_LOOK)
def test_every_page_of_a_key_is_accessible_and_fits(shared_desk: Desk, chromium: Chromium, reader: Reader) -> None:
    desk = shared_desk
    key = desk.key(f"order router {reader}", allowlist=["192.0.2.0/24"], limit="10/1s")
    pages = ("", "/edit", "/reset", "/reset?reason=routine", "/reset?reason=leaked")
    with chromium.visit(desk.url, reader) as visit:
        page = visit.page

        def check() -> None:
            assert not findings(page).violations, page.url
            assert page.evaluate("() => document.documentElement.scrollWidth") <= page.viewport_size["width"], page.url  # type: ignore[index]  # it has one

        page.goto("/")
        check()
        sign_in(page)
        check()
        for path in pages:
            page.goto(f"/keys/{key['id']}{path}")
            check()
        page.goto(f"/keys/{desk.key('x' * 180 + str(reader))['id']}")
        check()
        page.goto("/keys/new")
        check()
        page.goto("/keys")
        ask(page, f"order router {reader}", "routine")
        check()
        prove(page)
        check()
        mint(page)
        check()
        follow(page.get_by_role("button", name="Yes, I have stored it"))
        check()


def test_a_stranger_s_key_is_not_found_by_any_page(desk: Desk, chromium: Chromium) -> None:
    """Pitfall 18."""
    own = desk.account_id
    desk.account_id = desk.account("Somebody Else", policy="password-only")["id"]
    desk.person("eve@else.example", name="Eve")
    foreign = desk.key("theirs", owner="eve@else.example")
    desk.account_id = own
    with chromium.visit(desk.url, quiet=False) as visit:
        page = visit.page
        sign_in(page)
        for path in ("", "/edit", "/reset", "/reset?reason=leaked"):
            answer = page.goto(f"/keys/{foreign['id']}{path}")
            assert answer is not None
            assert answer.status == 404, path


def test_names_with_markup_and_turned_text_do_no_harm(desk: Desk, chromium: Chromium) -> None:
    """Pitfall 27: names cannot hold such marks; what callers say of themselves can, and is shown without them."""
    wicked = "<img src=x onerror=alert(1)>"
    key = desk.key(wicked)
    assert desk.server.call("/v1/keys", {"name": "gnp.\u202eexe"}).status == 422
    agent = f"{wicked}\u202egnp.exe"
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        expect(page.get_by_role("link", name=wicked)).to_be_visible()
        desk.server.verdict(key["secret"], context={"user_agent": agent})
        page.goto(f"/keys/{key['id']}/reset?reason=routine")
        expect(page.get_by_role("heading", name="Reset API Key")).to_be_visible()
        reload_until(page, "exe")
        assert "\u202e" not in page.content()
        expect(page.get_by_text(f"{wicked}\N{REPLACEMENT CHARACTER}gnp.exe")).to_be_visible()


def test_the_pages_speak_german_in_the_reader_s_zone(desk: Desk, chromium: Chromium) -> None:
    key = desk.key(expires_at="2030-06-01T12:00:00Z")
    with chromium.visit(desk.url, Reader(locale="de-DE", timezone="Europe/Berlin")) as visit:
        page = visit.page
        page.goto("/")
        page.get_by_label("Benutzername oder E-Mail").fill("maria@northwind.example")
        page.get_by_label("Passwort").fill(PASSWORD)
        follow(page.get_by_role("button", name="Anmelden"))
        page.goto(f"/keys/{key['id']}")
        expect(page.locator("dl.facts").first).to_contain_text("1. Juni 2030, 14:00")
        follow(page.get_by_role("button", name="English"))
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
