"""The gateways' files before a real API: who comes through, what the API is told, and what a caller is.

Pitfall 12 is held here for what comes through a gateway: only the address of the connection counts.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

from keyturn.core.secret import RANDOM_CHARS, checksum
from tests.gateways.conftest import Site, here
from tests.gateways.program import ENVOY, FILES, HAPROXY, KINDS, NGINX, Gateway, Kind
from tests.loopback import Request
from tests.ports import free_port
from tests.serving import Answer

HOME, AWAY = "127.0.0.7", "127.0.0.8"
SOURCES: Final = Path(__file__).parents[2] / "src" / "keyturn" / "api"
KNOWN: Final = sorted(
    {
        name.lower()
        for source in SOURCES.rglob("*.py")
        for name in re.findall(r"\bx-keyturn(?:-[a-z]+)+", source.read_text(), re.IGNORECASE)
    }
)
"""Every such header that keyturn reads or writes over HTTP."""
TRUSTED: Final = {"x-keyturn-key-id", "x-keyturn-account-id", "x-keyturn-permissions"}


def keyturn_lines(request: Request) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in request.lines if "keyturn" in name.lower()]


def told(made: dict[str, Any], *permissions: str) -> list[tuple[str, str]]:
    """What the API is told of the caller."""
    return sorted(
        [
            ("x-keyturn-key-id", made["id"]),
            ("x-keyturn-account-id", made["account_id"]),
            ("x-keyturn-permissions", " ".join(permissions)),
        ]
    )


@pytest.mark.parametrize("shown", ["Authorization", "X-API-Key"])
def test_a_valid_key_passes_and_the_api_is_told_whose_it_is(site: Site, gateway: Gateway, shown: str) -> None:
    made = site.keyturn.create(permissions=["api:write", "orders:read"])
    secret = made["secret"]
    body = b"0123456789" * 10_000
    headers = [(shown, f"Bearer {secret}" if shown == "Authorization" else secret), ("Accept", "text/x-marked")]
    answer, came = site.heard(gateway, "/orders/7?page=2", method="POST", body=body, headers=headers)
    assert (answer.status, answer.body) == (HTTPStatus.OK, {"orders": []})
    (request,) = came
    assert (request.method, request.path, request.query) == ("POST", "/orders/7", {"page": "2"})
    assert request.body == body
    assert request.headers["accept"] == "text/x-marked"
    assert request.headers["x-forwarded-for"] == "127.0.0.1"
    assert sorted(keyturn_lines(request)) == told(made, "api:write", "orders:read")
    everything = repr(request.lines)
    assert secret not in everything
    assert site.credential not in everything


def test_after_a_reset_the_old_secret_is_refused_and_the_new_one_passes(site: Site, gateway: Gateway) -> None:
    made = site.keyturn.create(permissions=["api:read"])
    assert gateway.call(key=made["secret"]).status == HTTPStatus.OK
    fresh = site.keyturn.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}).body["secret"]
    answer, came = site.heard(gateway, key=made["secret"])
    assert not came
    assert_refused(answer, HTTPStatus.UNAUTHORIZED, "replaced")
    answer, came = site.heard(gateway, key=fresh)
    assert answer.status == HTTPStatus.OK
    assert keyturn_lines(came[0])


def assert_refused(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status
    assert answer.headers["x-keyturn-code"] == code
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.body["status"], answer.body["code"]) == (status, code)
    challenged = answer.headers.get("www-authenticate", "")
    assert challenged == ('Bearer realm="api"' if status == HTTPStatus.UNAUTHORIZED else "")


def _suspended(site: Site) -> str:
    made = site.keyturn.create(permissions=["api:write"])
    assert site.keyturn.call(f"/v1/keys/{made['id']}/suspend", {}).status == HTTPStatus.OK
    return str(made["secret"])


NOBODYS: Final = "kt_live_" + "0" * RANDOM_CHARS

REFUSED: dict[str, tuple[Callable[[Site], str], int, str]] = {
    "no key": (lambda _: "", 401, "malformed"),
    "what cannot be a key": (lambda _: "nonsense", 401, "malformed"),
    "a key of nobody": (lambda _: NOBODYS + checksum(NOBODYS), 401, "unknown"),
    "a suspended key": (_suspended, 401, "suspended"),
    "the wrong permission": (lambda site: site.secret(permissions=["orders:write"]), 403, "permission_missing"),
    "too little of the right one": (lambda site: site.secret(permissions=["api:read"]), 403, "permission_missing"),
    "another address": (
        lambda site: site.secret(permissions=["api:write"], allowlist=[AWAY]),
        403,
        "ip_not_allowed",
    ),
}


@pytest.mark.parametrize("story", REFUSED)
def test_who_is_refused_and_what_they_are_told(site: Site, gateway: Gateway, story: str) -> None:
    make, status, code = REFUSED[story]
    key = make(site)
    answer, came = site.heard(gateway, key=key, method="POST", body=b"{}")
    assert not came
    assert_refused(answer, status, code)


def test_over_its_limit_a_key_is_told_when_to_come_again(site: Site, gateway: Gateway) -> None:
    key = site.secret(permissions=["api:read"], limit="1/1h")
    assert gateway.call(key=key).status == HTTPStatus.OK
    answer, came = site.heard(gateway, key=key)
    assert not came
    assert_refused(answer, HTTPStatus.TOO_MANY_REQUESTS, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0


def test_two_keys_in_one_request_are_refused(site: Site, gateway: Gateway) -> None:
    one, other = (site.secret(permissions=["api:read"]) for _ in range(2))
    for headers in (
        [("Authorization", f"Bearer {one}"), ("X-API-Key", other)],
        [("X-API-Key", one), ("X-API-Key", other)],
        [("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {other}")],
    ):
        answer, came = site.heard(gateway, headers=headers)
        assert not came
        assert answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}


NEEDS_READ: Final = ("GET", "HEAD", "OPTIONS")
NEEDS_WRITE: Final = ("POST", "PUT", "PATCH", "DELETE", "get", "PROPFIND")


def test_what_a_request_needs_goes_by_its_method_and_not_by_what_the_caller_says(site: Site, gateway: Gateway) -> None:
    key = site.secret(permissions=["api:read"])
    for method in NEEDS_READ:
        assert gateway.call(key=key, method=method).status == HTTPStatus.OK, method
    for method in NEEDS_WRITE:
        answer, came = site.heard(gateway, key=key, method=method, headers=_less())
        assert not came, method
        assert answer.status in {HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST}, method


def _less() -> Sequence[tuple[str, str]]:
    return [("X-Keyturn-Permission", "api:read"), ("X_Keyturn_Permission", "api:read")]


def test_what_the_caller_writes_under_keyturn_s_names_never_reaches_the_api(site: Site, gateway: Gateway) -> None:
    assert set(KNOWN) >= TRUSTED
    made = site.keyturn.create(permissions=["api:read"])
    names = [*KNOWN, *(["x-keyturn-new", "x-keyturn"] if gateway.kind.strips_all else [])]
    spellings = [spelt for name in names for spelt in (name, name.title(), name.upper(), name.replace("-", "_"))]
    spellings += [name.replace("keyturn-", "keyturn_") for name in names]
    forged = [(name, "forged") for name in spellings]
    answer, came = site.heard(gateway, key=made["secret"], headers=forged)
    assert answer.status == HTTPStatus.OK
    assert sorted(keyturn_lines(came[0])) == told(made, "api:read")
    assert "forged" not in repr(came[0].lines)
    answer, came = site.heard(gateway, headers=forged)
    assert not came
    assert answer.status == HTTPStatus.UNAUTHORIZED


ADDRESS: Final = "x-forwarded-for"


@pytest.mark.parametrize("also", ["close", "Upgrade"])
@pytest.mark.parametrize("names", [sorted(TRUSTED), [*KNOWN, ADDRESS]], ids=["its words", "all"])
def test_the_caller_cannot_have_anything_left_out(site: Site, gateway: Gateway, names: list[str], also: str) -> None:
    """A header that `Connection` names goes no further than the next hop."""
    made = site.keyturn.create(permissions=["api:read"])
    named = [also, *map(str.title, names)]
    for lines in ([("Connection", ", ".join(named))], [("Connection", name) for name in reversed(named)]):
        answer, came = site.heard(gateway, key=made["secret"], headers=lines)
        if answer.status != HTTPStatus.BAD_REQUEST:  # Envoy's answer to naming some of them
            assert answer.status == HTTPStatus.OK
            assert sorted(keyturn_lines(came[0])) == told(made, "api:read")
            assert came[0].headers[ADDRESS] == "127.0.0.1"
            passed_on = [value.lower() for name, value in came[0].lines if name.lower() == "connection"]
            assert not [name for name in names if name in repr(passed_on)]
        answer, came = site.heard(gateway, key=made["secret"], method="POST", headers=lines)
        assert not came  # what it needs was not left out of the question either


def test_no_header_with_an_underscore_reaches_the_api(site: Site, gateway: Gateway) -> None:
    """To many an API `X_Forwarded_For` is `X-Forwarded-For`, and to some `SCRIPT_NAME` is a part of the path."""
    key = site.secret(permissions=["api:read"])
    names = ("X_Forwarded_For", "X-Forwarded_For", "x_forwarded_for", "SCRIPT_NAME", "_", "a_", "_a")
    answer, came = site.heard(gateway, key=key, headers=[(name, "forged") for name in names])
    assert answer.status == HTTPStatus.OK
    assert "forged" not in repr(came[0].lines)


def test_a_request_has_one_method(site: Site, gateway: Gateway) -> None:
    """What a request needs goes by it, so an API may hear of no other."""
    key = site.secret(permissions=["api:read"])
    names = ("X-HTTP-Method-Override", "x-http-method-override", "X-HTTP-Method", "X-Method-Override")
    answer, came = site.heard(gateway, key=key, headers=[(name, "DELETE") for name in names])
    assert answer.status == HTTPStatus.OK
    assert "DELETE" not in repr(came[0].lines)


def test_pitfall_12_the_address_of_the_connection_counts_and_no_other(site: Site, gateway: Gateway) -> None:
    key = site.secret(permissions=["api:read"], allowlist=[HOME])
    for said in ((), (HOME,), (AWAY,), (f"{HOME}, {AWAY}",), (AWAY, HOME)):
        headers = [("X-Forwarded-For", hop) for hop in said]
        headers += [(name, hop) for hop in said for name in ("X-Real-IP", "X-Client-IP", "X-Envoy-External-Address")]
        headers += [("Forwarded", f"for={hop}") for hop in said]
        headers += [("X_Forwarded_For", hop) for hop in said]
        home = gateway.call(key=key, whence=HOME, headers=headers)
        assert home.status == HTTPStatus.OK, said
        assert site.api.heard[-1].headers["x-forwarded-for"] == HOME
        answer, came = site.heard(gateway, key=key, whence=AWAY, headers=headers)
        assert not came
        assert_refused(answer, HTTPStatus.FORBIDDEN, "ip_not_allowed")


def test_no_key_and_no_credential_is_written_to_a_log(site: Site, kind: Kind, tmp_path: Path) -> None:
    valid = site.secret(permissions=["api:read"])
    refused = _suspended(site)
    for name, keyturn in (("answered", site.keyturn.port), ("unanswered", free_port())):
        with site.behind(kind, tmp_path / name, keyturn=keyturn) as gateway:
            for key in (valid, refused):
                gateway.call(f"/marked?key={key}", key=key)
                gateway.call("/marked", headers=[("X-API-Key", key)])
                gateway.call("/marked", headers=[("X-Keyturn-Credential", key)])
        assert gateway.said.count("/marked") >= 6  # it does keep a log
        logged = _but_failures_of_nginx(gateway)
        for secret in (valid, refused, site.credential):
            assert secret not in logged


def _but_failures_of_nginx(gateway: Gateway) -> str:
    """A failure is logged with its request line, query and all; nginx cannot be told not to."""
    if gateway.kind is not NGINX:
        return gateway.said
    return "\n".join(line for line in gateway.said.splitlines() if "[error]" not in line or "?key=" not in line)


def test_nginx_nobody_else_asks_keyturn(site: Site, tmp_path: Path) -> None:
    with site.behind(here(NGINX), tmp_path / "nginx") as gateway:
        answer, came = site.heard(gateway, "/keyturn-asks", key=site.secret())
    assert not came
    assert answer.status == HTTPStatus.NOT_FOUND


def test_nginx_asks_the_next_keyturn_where_one_is_gone(site: Site, tmp_path: Path) -> None:
    listed = "    server 127.0.0.1:8787;"
    faults = {listed: f"    server 127.0.0.1:{free_port()};\n{listed}"}
    stories = (("api:read", HTTPStatus.OK), ("orders:read", HTTPStatus.FORBIDDEN))
    for permission, status in stories:
        key = site.secret(permissions=[permission])
        with site.behind(here(NGINX), tmp_path / permission.replace(":", "-"), faults=faults) as gateway:
            assert gateway.call(key=key).status == status
            assert "Connection refused" in gateway.said  # the first was asked first
    with site.behind(here(NGINX), tmp_path / "limit", faults=faults) as gateway:
        key = site.secret(permissions=["api:read"], limit="1/1h")
        site.keyturn.call("/v1/verify", {"key": key})
        assert_refused(gateway.call(key=key), HTTPStatus.TOO_MANY_REQUESTS, "rate_limited")
        assert "Connection refused" in gateway.said


@pytest.mark.parametrize("fault", ["core.httpclient()", "txn.http:req_get_headers()"])
def test_haproxy_a_fault_in_the_lua_file_passes_nobody(site: Site, tmp_path: Path, fault: str) -> None:
    key = site.secret(permissions=["api:read"])
    with site.behind(here(HAPROXY), tmp_path / "haproxy", faults={fault: "broken()"}) as gateway:
        answer, came = site.heard(gateway, key=key)
    assert not came
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE


def test_haproxy_does_not_start_without_its_credential(site: Site, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="KEYTURN_CREDENTIAL is not set"),
        replace(site, credential="").behind(here(HAPROXY), tmp_path / "haproxy"),
    ):
        pass


def test_envoy_a_route_without_a_permission_of_its_own_passes_nobody(site: Site, tmp_path: Path) -> None:
    key = site.secret(permissions=["api:admin", "orders:admin"])
    forgotten = {'{ key: x-keyturn-permission, value: "api:read" }': '{ key: x-other, value: "1" }'}
    with site.behind(here(ENVOY), tmp_path / "envoy", faults=forgotten) as gateway:
        answer, came = site.heard(gateway, key=key)
    assert not came
    assert_refused(answer, HTTPStatus.FORBIDDEN, "permission_missing")


def test_the_page_names_each_file_and_each_file_is_tried() -> None:
    assert {path.name for path in FILES.iterdir()} == {name for kind in KINDS for name in kind.files}
    page = (FILES.parent / "gateways.md").read_text()
    for kind in KINDS:
        for named in (*kind.files, *kind.places):
            assert named in page
