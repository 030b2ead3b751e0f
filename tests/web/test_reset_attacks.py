"""Reset API Key by hand-made requests: every wrong order, another's reset, other sites, replays (K2, R10, R14, R15)."""

from typing import Any

import pytest

from tests.web.house import PASSPHRASE, House
from tests.web.person import Page, Person

STEPS = ("proofs", "mint", "finish", "stored", "claim", "resume", "cancel")


class Scene:
    """Somebody with a key under a policy that asks for a password."""

    def __init__(self, house: House) -> None:
        self.house = house
        fields = {"proofs": ["password"], "grace_max": "7d", "reset_origin": "any", "on_member_added": "none"}
        made = house.server.call("/v1/policies", {"name": "by-password", "base": "tradingonramp"} | fields)
        assert made.status in (200, 201), made.text
        self.account = house.account(policy="by-password")
        self.owner, self.email = house.user(self.account)
        self.key = house.server.create(account_id=self.account, owner_id=self.owner, permissions=["orders:write"])

    def person(self) -> Person:
        person = self.house.person()
        assert person.sign_in(self.email, PASSPHRASE).path == "/keys"
        return person

    def begin(self, person: Person, reason: str = "routine", **fields: str) -> str:
        """Ask, by the form; answers the reset's path."""
        page = person.submit(
            f"/keys/{self.key['id']}/reset", at=f"/keys/{self.key['id']}/reset?reason={reason}", **fields
        )
        assert page.path.startswith("/resets/"), page.text
        return page.path

    def verdict(self) -> str:
        return self.house.server.verdict(self.key["secret"])

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.house.server.call(f"/v1/keys/{self.key['id']}").body
        return shown


@pytest.fixture
def scene(house: House) -> Scene:
    return Scene(house)


def prove(person: Person, reset: str, password: str = PASSPHRASE) -> Page:
    return person.submit(f"{reset}/proofs", at=reset, password=password)


def test_r10_no_step_works_before_its_turn(scene: Scene) -> None:
    """Each step is posted with a good token before anything is proved: refused, and the key is as it was."""
    person = scene.person()
    reset = scene.begin(person)
    before = scene.shown()
    for step in ("mint", "finish", "claim", "resume"):
        page = person.post(f"{reset}/{step}", {"csrf": person.csrf, "once": f"early-{step}"})
        assert page.status in (403, 409), (step, page.status, page.text)
        person.see(reset)
    after = scene.shown()
    assert {name: after[name] for name in ("version", "status", "secrets")} == {
        name: before[name] for name in ("version", "status", "secrets")
    }
    assert scene.verdict() == "valid"


def test_r10_no_step_works_after_the_end(scene: Scene) -> None:
    person = scene.person()
    reset = scene.begin(person)
    person.submit(f"{reset}/cancel", at=reset)
    for step in ("proofs", "mint", "finish", "resume", "cancel"):
        page = person.post(f"{reset}/{step}", {"csrf": person.csrf, "kind": "password", "password": PASSPHRASE})
        assert page.status in (403, 409, 410), (step, page.status)
    assert scene.shown()["version"] == 1


def test_r11_a_proof_from_another_session_of_the_same_person_does_not_count(scene: Scene) -> None:
    asker, other = scene.person(), scene.person()
    reset = scene.begin(asker)
    page = other.see(reset)
    assert not page.has_form(f"{reset}/proofs")
    page = other.post(f"{reset}/proofs", {"csrf": other.csrf, "kind": "password", "password": PASSPHRASE})
    assert page.status == 403
    prove(asker, reset)
    page = other.post(f"{reset}/mint", {"csrf": other.csrf})
    assert page.status == 403
    assert "kt_live_" not in page.html.replace(scene.key["hint"].partition("…")[0] + "…", "")


def test_pitfall_18_a_stranger_finds_nothing_at_any_step(scene: Scene) -> None:
    asker = scene.person()
    reset = scene.begin(asker, "leaked")
    stranger = scene.house.signed_in()
    assert stranger.see(reset).status == 404
    csrf = stranger.see("/keys").form("/sign-out").fields["csrf"]
    for path in (*(f"{reset}/{step}" for step in STEPS if step != "stored"), f"/keys/{scene.key['id']}/reset"):
        page = stranger.post(path, {"csrf": csrf, "reason": "leaked", "kind": "password", "password": PASSPHRASE})
        assert page.status == 404, path
    for path in ("suspend", "revoke", "edit"):
        assert stranger.post(f"/keys/{scene.key['id']}/{path}", {"csrf": csrf, "name": "test"}).status == 404


def test_r15_a_form_pressed_twice_makes_one_secret_and_shows_it_once(scene: Scene) -> None:
    person = scene.person()
    reset = scene.begin(person)
    prove(person, reset)
    form = person.page.form(f"{reset}/mint").fields
    first, second = person.post(f"{reset}/mint", form), person.post(f"{reset}/mint", form)
    assert 'id="secret"' in first.html
    assert 'id="secret"' not in second.html
    assert scene.shown()["version"] == 2


def test_pitfall_16_what_makes_a_form_count_once_is_of_that_form_alone(scene: Scene) -> None:
    """Sent with another key's form it opens nothing there, and does not lead to what it opened here."""
    person = scene.person()
    scene.begin(person, once="same")
    other = scene.house.server.create(account_id=scene.account, owner_id=scene.owner, permissions=["orders:read"])
    path = f"/keys/{other['id']}/reset"
    page = person.submit(path, at=f"{path}?reason=routine", once="same")
    assert (page.status, page.path) == (422, path)
    assert person.submit(path, at=f"{path}?reason=routine", once="new").path.startswith("/resets/")


def test_r14_of_two_browsers_that_ask_one_has_the_reset(scene: Scene) -> None:
    """The page names the version it was written for, so a stale one asks for nothing."""
    first, second = scene.person(), scene.person()
    path = f"/keys/{scene.key['id']}/reset"
    stale = second.see(f"{path}?reason=routine").form(path).fields
    reset = scene.begin(first)
    assert second.post(path, stale).path == reset  # the open one, to be looked at
    prove(first, reset)
    first.submit(f"{reset}/mint", once="one")
    page = second.post(path, stale | {"once": "another"})
    assert page.status == 409
    assert scene.shown()["version"] == 2


def test_r22_suspend_needs_no_proof_and_a_false_alarm_needs_all_of_it(scene: Scene) -> None:
    person = scene.person()
    person.submit(f"/keys/{scene.key['id']}/suspend", at=f"/keys/{scene.key['id']}")
    assert scene.verdict() == "suspended"
    reset = scene.begin(person)
    page = person.post(f"{reset}/resume", {"csrf": person.csrf})
    assert (page.status, scene.verdict()) == (403, "suspended")
    prove(person, reset)
    person.submit(f"{reset}/resume", at=reset)
    assert scene.verdict() == "valid"
    assert scene.shown()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        ("application/x-www-form-urlencoded", b"reason=leaked"),
        ("application/x-www-form-urlencoded", b"reason=leaked&csrf=" + b"0" * 64),
        ("text/plain", b"reason=leaked"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="reason"\r\n\r\nleaked\r\n--x--',
        ),
        ("application/json", b'{"reason": "leaked"}'),
        ("", b"reason=leaked"),
    ],
    ids=["no token", "made-up token", "text", "multipart", "json", "no type"],
)
def test_what_another_site_can_send_stops_nothing(scene: Scene, body: tuple[str, bytes]) -> None:
    person = scene.person()
    kind, sent = body
    for headers in (
        {"origin": "https://evil.test"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {},
    ):
        named = headers | ({"content-type": kind} if kind else {})
        answer = person.client.post(f"/keys/{scene.key['id']}/reset", content=sent, headers=named)
        assert answer.status_code in (403, 415), (headers, answer.status_code)
    assert scene.verdict() == "valid"


def test_a_good_token_from_another_site_stops_nothing_either(scene: Scene) -> None:
    """Whoever learned a token still speaks from the wrong place."""
    person = scene.person()
    path = f"/keys/{scene.key['id']}/suspend"
    fields = person.see(f"/keys/{scene.key['id']}").form(path).fields
    for headers in ({"origin": "https://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert person.client.post(path, data=fields, headers=headers).status_code == 403
    assert scene.verdict() == "valid"
    assert person.client.post(path, data=fields, headers={"sec-fetch-site": "same-origin"}).status_code == 303
    assert scene.verdict() == "suspended"


def test_a_token_of_another_session_is_worth_nothing(scene: Scene) -> None:
    one, other = scene.person(), scene.person()
    path = f"/keys/{scene.key['id']}/suspend"
    fields = one.see(f"/keys/{scene.key['id']}").form(path).fields
    assert other.client.post(path, data=fields).status_code == 403
    assert scene.verdict() == "valid"


def test_nor_is_this_browser_s_own_token_from_before_it_signed_in(scene: Scene) -> None:
    """Whoever has seen or set what the browser showed signed out can send no form of whoever signs in there."""
    person = scene.house.person()
    person.see("/")
    before = person.csrf
    person.sign_in(scene.email, PASSPHRASE)
    assert person.post(f"/keys/{scene.key['id']}/suspend", {"csrf": before}).status == 403
    assert scene.verdict() == "valid"
    person.see("/keys")
    assert person.post(f"/keys/{scene.key['id']}/suspend", {"csrf": person.csrf}).status == 200
    assert scene.verdict() == "suspended"


def test_nor_is_a_stranger_s_own_token_in_another_s_browser(scene: Scene) -> None:
    """Else another page could sign its reader in as somebody else, and wait for what they then type."""
    one, other = scene.house.person(), scene.house.person()
    one.see("/")
    token = one.csrf
    other.see("/")
    typed = {"user": scene.email, "password": PASSPHRASE}
    assert other.post("/sign-in", typed | {"csrf": token}).status == 403
    assert other.session == ""
    assert one.post("/sign-in", typed | {"csrf": token}).path == "/keys"


@pytest.mark.parametrize("media", ["text/plain", "application/json", "multipart/form-data; boundary=x", ""])
def test_a_good_token_in_what_is_no_form_does_nothing(scene: Scene, media: str) -> None:
    person = scene.person()
    path = f"/keys/{scene.key['id']}/suspend"
    body = f"csrf={person.csrf}".encode()
    assert person.client.post(path, content=body, headers={"content-type": media}).status_code == 415
    assert scene.verdict() == "valid"


def test_no_page_can_be_framed_or_run_what_is_not_ours(scene: Scene) -> None:
    person = scene.person()
    for path in ("/keys", f"/keys/{scene.key['id']}", f"/keys/{scene.key['id']}/reset?reason=routine", "/no/such/page"):
        headers = person.see(path).headers
        policy = dict(one.strip().partition(" ")[::2] for one in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", path
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'", path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["cache-control"] == "no-store", path


def test_pitfall_21_no_answer_repeats_the_host_that_was_sent(scene: Scene) -> None:
    person = scene.person()
    for path in ("/keys", f"/keys/{scene.key['id']}", "/", "/no/such/page"):
        answer = person.client.get(path, headers={"host": "evil.test"})
        assert "evil.test" not in answer.text
        assert "evil.test" not in str(answer.headers)


READ_ALONG = {"via": "1.1 somebody"}  # a proxy that nobody has listed: others may read along


def test_k11_no_secret_is_made_for_a_browser_whose_line_others_read(scene: Scene) -> None:
    person = scene.person()
    reset = scene.begin(person)
    prove(person, reset)
    form = person.page.form(f"{reset}/mint").fields
    refused = person.post(f"{reset}/mint", form, **READ_ALONG)
    assert (refused.status, "kt_live_" in refused.html) == (403, False)
    assert scene.shown()["version"] == 1
    form = person.see("/keys/new").form("/keys/new").fields
    assert person.post("/keys/new", form | {"name": "unread"}, **READ_ALONG).status == 403
    items = scene.house.server.call(f"/v1/audit?account_id={scene.account}&limit=3").body["items"]
    assert [(one["action"], one["outcome"]) for one in items[:2]] == [
        ("key.created", "https_required"),
        ("reset.minted", "https_required"),
    ]
    keys = scene.house.server.call(f"/v1/keys?account_id={scene.account}").body["items"]
    assert [one["id"] for one in keys] == [scene.key["id"]]


def test_k11_nor_does_anybody_sign_in_over_it(scene: Scene) -> None:
    stranger = scene.house.person()
    form = stranger.see("/").form("/sign-in").fields
    page = stranger.post("/sign-in", form | {"user": scene.email, "password": PASSPHRASE}, **READ_ALONG)
    assert (page.status, stranger.session) == (403, "")


@pytest.mark.parametrize("name", ["key", "token", "other"])
def test_k11_an_address_that_holds_a_secret_is_refused_and_repeated_nowhere(scene: Scene, name: str) -> None:
    person = scene.person()
    secret = scene.key["secret"]
    page = person.see(f"/keys?{name}={secret}")
    assert (page.status, secret in page.html) == (400, False)


def test_k11_no_page_but_one_ever_holds_a_secret(scene: Scene) -> None:
    """Whatever is opened afterwards, none of it shows what was shown once."""
    person = scene.person()
    reset = scene.begin(person)
    prove(person, reset)
    secret = person.submit(f"{reset}/mint").html.partition('id="secret"')[2].partition(">")[2].partition("<")[0]
    assert secret.startswith("kt_live_")
    for path in ("/keys", f"/keys/{scene.key['id']}", reset, f"/keys/{scene.key['id']}/edit", "/account"):
        assert secret not in person.see(path).html, path
    assert secret not in scene.house.server.said


def test_pitfall_3_an_edit_from_an_old_page_undoes_nothing_done_since(scene: Scene) -> None:
    person, path = scene.person(), f"/keys/{scene.key['id']}/edit"
    stale = person.see(path).form(path).fields
    narrow = {"permissions": ["orders:read"]}
    narrowed = scene.house.server.call(f"/v1/keys/{scene.key['id']}", narrow, method="PATCH")
    assert narrowed.status == 200, narrowed.text
    page = person.post(path, stale | {"name": "renamed"})
    assert page.status == 409
    assert (scene.shown()["permissions"], scene.shown()["name"]) == (["orders:read"], "test")
    person.submit(path, at=path, name="renamed")
    assert (scene.shown()["permissions"], scene.shown()["name"]) == (["orders:read"], "renamed")
