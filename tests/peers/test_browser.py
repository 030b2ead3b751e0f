"""The browser sees what is on a page, and tells what went wrong there."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.browser import LOOKS, Chromium, Kind, Reader
from tests.loopback import Loopback, Reply, Request

pytestmark = pytest.mark.needs("chromium")

STRICT = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'"}
PAGES = {
    "/": "<p id=said>still</p><script src=/said.js></script>",
    "/said.js": "document.getElementById('said').textContent = 'moved';",
    "/inline": "<script>document.title = 'ran'</script>",
    "/broken": "<script src=/broken.js></script>",
    "/broken.js": "undefined_function();",
    "/loud": "<script src=/loud.js></script>",
    "/loud.js": "console.error('something is wrong');",
    "/missing-part": "<script src=/nowhere.js></script>",
    "/styled": "<style>p { color: red }</style><p>x",
    "/far": "<script src=/far.js></script>",
    "/far.js": "fetch('http://far.example/').catch(() => document.title = 'alone')",
    "/phone": "<meta name=viewport content='width=device-width, initial-scale=1'>",
}


def _answer(request: Request) -> Reply:
    if request.path not in PAGES:
        return Reply(status=404, body="nothing here", headers=STRICT)
    kind = "text/javascript" if request.path.endswith(".js") else "text/html"
    page = PAGES[request.path]
    return Reply(
        body=page if kind != "text/html" else f"<!doctype html><title>x</title>{page}",
        headers=STRICT | {"Content-Type": kind},
    )


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback(_answer) as server:
        yield server


def test_a_page_without_a_complaint_passes(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/")
        assert visit.page.text_content("#said") == "moved"


COMPLAINTS = {
    "an inline script under a strict policy": ("/inline", Kind.POLICY, "script-src"),
    "an exception": ("/broken", Kind.SCRIPT, "undefined_function"),
    "an error in the console": ("/loud", Kind.CONSOLE, "something is wrong"),
    "a part that is not there": ("/missing-part", Kind.ANSWER, "/nowhere.js: 404"),
}


@pytest.mark.parametrize("story", COMPLAINTS)
def test_a_complaint_fails_the_visit_unless_it_is_asked_for(chromium: Chromium, site: Loopback, story: str) -> None:
    path, kind, said = COMPLAINTS[story]
    with pytest.raises(AssertionError, match=said), chromium.visit(site.url) as visit:
        visit.page.goto(path)
    with chromium.visit(site.url) as visit:
        visit.page.goto(path)
        assert [line for line in visit.heard(kind) if said in line]
        assert not visit.unheard()
    with chromium.visit(site.url, quiet=False) as visit:
        visit.page.goto(path)


def test_what_is_blocked_is_told_with_its_directive(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url) as visit:
        visit.page.goto("/inline")
        assert visit.page.title() == "x"
        assert [line for line in visit.heard(Kind.POLICY) if "securitypolicyviolation script-src-elem inline" in line]


def test_a_violation_is_told_without_javascript_too(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url, Reader(javascript=False)) as visit:
        visit.page.goto("/styled")
        assert [line for line in visit.heard(Kind.POLICY) if "style-src" in line]
        visit.page.goto("/")
        assert visit.page.text_content("#said") == "still"


def test_without_the_policy_the_script_runs(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url, policy=False) as visit:
        visit.page.goto("/inline")
        assert visit.page.title() == "ran"


def test_no_page_reaches_another_machine(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url, policy=False) as visit:
        visit.page.goto("/far")
        visit.page.wait_for_function("document.title === 'alone'")
        assert visit.heard(Kind.REQUEST) == ["GET http://far.example/: net::ERR_NAME_NOT_RESOLVED"]
    with chromium.visit(site.at("other.test")) as visit:
        visit.page.goto("/")


@pytest.mark.parametrize("reader", LOOKS, ids=str)
def test_the_reader_has_a_width_and_a_scheme(chromium: Chromium, site: Loopback, reader: Reader) -> None:
    with chromium.visit(site.url, reader) as visit:
        visit.page.goto("/phone")
        assert visit.page.evaluate("innerWidth") == (390 if reader.phone else 1280)
        assert visit.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is reader.dark


def test_the_reader_has_a_language_and_a_zone(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.url, Reader(locale="de-DE", timezone="Asia/Kathmandu")) as visit:
        visit.page.goto("/")
        assert visit.page.evaluate("new Date(0).toLocaleString()") == "1.1.1970, 05:30:00"
    assert site.heard[0].headers["accept-language"].startswith("de-DE")


def test_a_loop_of_another_test_runs_beside_the_browser(chromium: Chromium, site: Loopback) -> None:
    async def nothing() -> str:
        await asyncio.sleep(0)
        return "ran"

    for _ in range(2):
        assert asyncio.run(nothing()) == "ran"
        with chromium.visit(site.url) as visit:
            visit.page.goto("/")


REGISTER = """async () => {
    const made = await navigator.credentials.create({publicKey: {
        challenge: new Uint8Array(32), rp: {name: 'x'}, user: {id: new Uint8Array(8), name: 'x', displayName: 'x'},
        pubKeyCredParams: [{type: 'public-key', alg: -7}, {type: 'public-key', alg: -257}],
        authenticatorSelection: {residentKey: 'required', userVerification: 'required'},
    }});
    return made.id;
}"""
SIGN = """async () => {
    const shown = await navigator.credentials.get({publicKey: {
        challenge: new Uint8Array(32), userVerification: 'required'}});
    return [shown.id, new DataView(shown.response.authenticatorData).getUint32(33)];
}"""


def test_a_passkey_is_made_and_shown(chromium: Chromium, site: Loopback) -> None:
    with chromium.visit(site.at("localhost")) as visit:
        device = visit.authenticator()
        visit.page.goto("/")
        made = visit.page.evaluate(REGISTER)
        assert len(device.credentials) == 1
        assert visit.page.evaluate(SIGN)[0] == made
        device.set_sign_count(device.credentials[0]["credentialId"], 40)
        assert visit.page.evaluate(SIGN)[1] == 41
        device.verify_user(verified=False)
        refused = visit.page.evaluate(f"({SIGN})().catch(error => error.name)")
        assert refused == "NotAllowedError"
