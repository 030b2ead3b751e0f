"""What a changed password brings about for keys, under each value of the policy, as its person sees it (K15)."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import Chromium, follow
from tests.web.desk import PASSWORD, Desk, sign_in

NEW: str = "another long passphrase"
pytestmark = pytest.mark.needs("chromium")


def change_password(page: Page) -> None:
    page.goto("/account/security")
    page.get_by_label("Your password now").fill(PASSWORD)
    page.get_by_label("New password").fill(NEW)
    follow(page.get_by_role("button", name="Change the password"))


@pytest.mark.parametrize("rule", ["none", "hold:48h", "reset:7d", "stop:7d"])
def test_k15_a_changed_password_brings_about_what_the_policy_says(desk: Desk, chromium: Chromium, rule: str) -> None:
    """R20: it stands on the page before the click; nothing stops at once, and dates only move earlier."""
    desk.policy("watchful", proofs=["password"], reset_origin="any", on_password_change=rule, grace_default="1h")
    key = desk.key(policy="watchful")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto("/account/security")
        before = page.locator("main").inner_text()
        assert ("Changing it brings this about" in before) is (rule != "none")
        change_password(page)
        expect(page.get_by_role("status")).to_be_visible()  # the session is alive, under another token
        assert desk.server.verdict(key["secret"]) == "valid"
        page.goto("/keys")
        waits = page.get_by_text("was ordered for you")
        assert waits.count() == (1 if rule == "reset:7d" else 0)
        page.goto(f"/keys/{key['id']}")
        stops = page.get_by_role("row", name="kt_live").inner_text()
        assert ("never" in stops) is (rule in ("none", "hold:48h"))
        if rule == "hold:48h":
            page.goto(f"/keys/{key['id']}/reset?reason=routine")
            expect(page.locator("main")).to_contain_text("held back after a change of your account")
        page.goto("/keys")
        if rule == "reset:7d":
            follow(page.get_by_role("link", name="Look at it"))
            follow(page.get_by_role("button", name="Claim this reset"))
            page.get_by_label("Your password, again").fill(NEW)
            follow(page.get_by_role("button", name="Continue"))
            follow(page.get_by_role("button", name="Make the new secret"))
            assert desk.server.verdict(page.locator("#secret").inner_text()) == "valid"


@pytest.mark.parametrize("rule", ["none", "hold:48h", "reset:7d", "stop:7d"])
def test_k15_a_new_member_brings_about_what_the_policy_says(desk: Desk, chromium: Chromium, rule: str) -> None:
    """It stands beside the invitation before the click; then the shared key ends, waits or is to be claimed."""
    desk.policy("watchful", proofs=["password"], reset_origin="any", on_member_added=rule, grace_default="1h")
    desk.server.call(f"/v1/accounts/{desk.account_id}", {"policy": "watchful"}, method="PATCH")
    key = desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        page.goto("/account/members")
        foreseen = page.get_by_text("When somebody joins, this follows:").count()
        assert foreseen == (0 if rule == "none" else 1)
        page.get_by_label("E-mail").fill("nora@northwind.example")
        page.get_by_label("Member").check()
        follow(page.get_by_role("button", name="Mail the invitation"))
        expect(page.get_by_role("status")).to_be_visible()
        link = desk.link("invitation", to="nora@northwind.example")
    with chromium.visit(desk.url) as visit:
        page = visit.page
        page.goto(link)
        page.get_by_label("Your name").fill("Nora New")
        page.locator("[name=new_password]").fill(NEW)
        follow(page.get_by_role("button", name="Join", exact=True))
        page.wait_for_url("**/keys*")
    assert desk.server.verdict(key["secret"]) == "valid"  # nothing stops at once
    with chromium.visit(desk.url) as visit:
        page = visit.page
        sign_in(page)
        assert page.get_by_text("was ordered for you").count() == (1 if rule == "reset:7d" else 0)
        page.goto(f"/keys/{key['id']}")
        stops = page.get_by_role("row", name="kt_live").inner_text()
        assert ("never" in stops) is (rule in ("none", "hold:48h"))
        if rule == "hold:48h":
            page.goto(f"/keys/{key['id']}/reset?reason=routine")
            expect(page.locator("main")).to_contain_text("held back after a change of your account")


def test_a_reset_goes_with_the_keyboard_alone(desk: Desk, chromium: Chromium) -> None:
    """From the front page to the secret without a mouse: each control is reached by Tab and shows that it is."""
    desk.key()
    with chromium.visit(desk.url) as visit:
        page = visit.page
        page.goto("/")

        def go(name: str) -> None:
            """Press Tab until that control has the focus."""
            for _ in range(40):
                page.keyboard.press("Tab")
                focused = page.evaluate(
                    "() => { const one = document.activeElement; const label = one.labels && one.labels[0];"
                    " if (one === document.body) return ['', 'none'];"
                    " return [one.ariaLabel || (label && label.innerText) || one.innerText || one.value || '',"
                    " getComputedStyle(one).outlineStyle]; }"
                )
                if name in focused[0]:
                    assert focused[1] != "none", name
                    return
            pytest.fail(f"Tab never reaches {name!r} on {page.url}")

        go("User name or e-mail")
        page.keyboard.type("maria@northwind.example")
        go("Password")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/keys")
        go("Reset API Key: order router")
        page.keyboard.press("Enter")
        page.wait_for_url("**/reset*")
        go("Lost")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        go("Show what happens")
        page.keyboard.press("Enter")
        page.wait_for_url("**reason=leaked*")
        go("Reset API Key")
        page.keyboard.press("Enter")
        page.wait_for_url("**/resets/*")
        go("Your password, again")
        page.keyboard.type(PASSWORD)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Make the new secret")).to_be_visible()
        go("Make the new secret")
        page.keyboard.press("Enter")
        expect(page.locator("#secret")).to_be_visible()
