"""What stands in the browser works with what the API answers, under our policy: the CAPTCHA's widget, passkeys."""

import json
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import altcha
import pytest
from playwright.sync_api import Page, Route, expect

from keyturn.web.page import HEADERS
from tests.browser import Chromium
from tests.serving import Serving

pytestmark = pytest.mark.needs("chromium")

PASSPHRASE = "correct horse battery staple"
PAGE = """<!doctype html><html lang=en><title>x</title>
<link rel=stylesheet href=/static/any/altcha.css>
<form><altcha-widget challenge=/v1/captcha auto=onload></altcha-widget></form>
<script type=module src=/widget.js></script>"""
SCRIPT = """import "/static/any/altcha.min.js";
$altcha.algorithms.set("SHA-256", () => new Worker("/static/any/altcha-sha.js"));"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("widget")
    served = Serving(folder=folder / "data").start()
    yield served
    served.kill()


def show(page: Page, path: str, body: str, kind: str = "text/html") -> None:
    """A page of the test's own on the server's origin, under our headers."""

    def fulfil(route: Route) -> None:
        route.fulfill(body=body, headers=HEADERS | {"content-type": kind})

    page.route(f"**{path}", fulfil)


def test_k2_the_widget_solves_what_the_api_asks_under_our_policy(chromium: Chromium, server: Serving) -> None:
    with chromium.visit(f"http://127.0.0.1:{server.port}") as visit:
        show(visit.page, "/widget.html", PAGE)
        show(visit.page, "/widget.js", SCRIPT, "text/javascript")
        visit.page.goto("/widget.html")
        field = visit.page.locator("input[name=altcha]")
        field.wait_for(state="attached")
        expect(field).not_to_have_value("")
        answer = field.input_value()
    solved = altcha.Payload.from_base64(answer)
    assert solved.challenge.parameters.algorithm == "SHA-256"
    assert solved.challenge.signature
    assert (
        altcha.derive_key_sha(
            solved.challenge.parameters,
            bytes.fromhex(solved.challenge.parameters.salt),
            bytes.fromhex(solved.challenge.parameters.nonce) + solved.solution.counter.to_bytes(4, "big"),
        ).hex()
        == solved.solution.derived_key
    )


CALL = """async ([path, token, made]) => {
  const call = async (address, body) => {
    const sent = {"content-type": "application/json", "authorization": "Bearer " + token};
    const answer = await fetch(address, {method: "POST", headers: sent, body: JSON.stringify(body)});
    return [answer.status, await answer.json()];
  };
  const [, options] = await call(path, {});
  const credential = made
    ? await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
    : await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
  return JSON.stringify(await call(made || "/v1/sessions/current/proofs", made
    ? {name: "laptop", credential: credential.toJSON()}
    : {kind: "passkey", credential: credential.toJSON()}));
}"""


def test_k2_a_browsers_passkey_is_enrolled_and_shown(
    chromium: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("passkeys")
    flags = ("--port", str(port), "--base-url", f"http://localhost:{port}")
    server = Serving(folder=folder / "data", flags=flags).start()
    try:
        wish = {"email": "p@example.com", "password": PASSPHRASE, "role": "owner"}
        assert server.call("/v1/users", wish).status == HTTPStatus.CREATED
        token = server.call("/v1/sessions", {"user": "p@example.com", "password": PASSPHRASE}).body["token"]
        again = {"kind": "password", "password": PASSPHRASE}
        token = server.call("/v1/sessions/current/proofs", again, key=token).body["token"]
        with chromium.visit(f"http://localhost:{server.port}") as visit:
            visit.authenticator()
            show(visit.page, "/widget.html", "<!doctype html><html lang=en><title>x</title>")
            visit.page.goto("/widget.html")

            def run(path: str, made: str) -> Any:
                return json.loads(visit.page.evaluate(CALL, [path, token, made]))

            enrolled = run("/v1/authenticators/passkeys/challenge", "/v1/authenticators/passkeys")
            assert enrolled[0] == HTTPStatus.CREATED, enrolled
            shown = run("/v1/sessions/current/proofs/passkey", "")
            assert (shown[0], shown[1]["kind"]) == (HTTPStatus.CREATED, "passkey")
    finally:
        server.kill()
