"""`/v1/portal/sessions` on a running server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest

from tests.api.test_resets import PASSPHRASE
from tests.serving import Answer, Serving

APP = "https://app.example.com"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose operator embeds portals."""
    folder = tmp_path_factory.mktemp("portal")
    config = folder / "keyturn.toml"
    config.write_text(f'base_url = "https://keys.example.com"\nportal_origins = ["{APP}"]\n')
    server = Serving(folder=folder / "data", flags=("--config", str(config))).start()
    yield server
    server.kill()


@pytest.fixture
def account(portal: Serving) -> str:
    made = portal.call("/v1/accounts", {"name": "Customer"}).body["id"]
    email = f"{made}@example.com"
    portal.call("/v1/users", {"email": email, "password": PASSPHRASE, "role": "owner", "account_id": made})
    return str(made)


def mint(portal: Serving, account: str, *, key: str | None = None, **wish: Any) -> Answer:
    return portal.call("/v1/portal/sessions", {"account_id": account} | wish, key=key)


def seen(kind: str = "password", ago: timedelta = timedelta(0)) -> dict[str, str]:
    return {"kind": kind, "at": (datetime.now(UTC) - ago).isoformat()}


def test_pitfall_21_the_link_starts_with_the_configured_address(portal: Serving, account: str) -> None:
    wish = {"account_id": account, "proofs": [seen()]}
    answer = portal.call("/v1/portal/sessions", wish, headers={"Host": "evil.example.com"})
    assert answer.status == HTTPStatus.CREATED, answer.text
    made = answer.body
    assert made["url"].startswith("https://keys.example.com/portal/ktp_")
    assert made["id"].startswith("prt_")
    assert (made["account_id"], made["embed_origin"], made["return_url"]) == (account, None, None)
    assert [one["kind"] for one in made["proofs"]] == ["password"]
    assert made["url"].rpartition("/")[2] not in portal.said


def test_what_is_asked_for_is_read_strictly(portal: Serving, account: str) -> None:
    sure = mint(portal, account, embed_origin=f"{APP}:443", return_url=f"{APP}/keys")
    assert (sure.body["embed_origin"], sure.body["return_url"]) == (APP, f"{APP}/keys")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"embed_origin": "https://other.example.com"}, "embed_origin"),
        ({"embed_origin": "*"}, "embed_origin"),
        ({"embed_origin": f"{APP}/"}, "embed_origin"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": "https://other.example.com/"}, "return_url"),
        ({"proofs": [seen("recovery_code")]}, "proofs.0.kind"),
        ({"proofs": [seen(), seen()]}, "proofs"),
        ({"proofs": [seen(ago=timedelta(minutes=-5))]}, "proofs"),
        ({"proofs": [{"kind": "password", "at": "now"}]}, "proofs.0.at"),
        ({"proofs": [seen()] * 6}, "proofs"),
        ({"user_id": "usr_x"}, "user_id"),
    ]
    for wish, field in refused:
        answer = mint(portal, account, **wish)
        assert (answer.status, answer.body.get("field")) == (HTTPStatus.UNPROCESSABLE_ENTITY, field), answer.text


def test_pitfall_7_who_may_not_is_told_no(portal: Serving, account: str) -> None:
    for rights, expected in [
        (["keyturn.accounts:write"], HTTPStatus.CREATED),
        ([f"keyturn.accounts:write@{account}"], HTTPStatus.CREATED),
        (["keyturn.accounts:read", f"keyturn.keys:reset@{account}"], HTTPStatus.NOT_FOUND),
        (["*:admin"], HTTPStatus.NOT_FOUND),
    ]:
        key = portal.create(permissions=rights)["secret"]
        assert mint(portal, account, key=key).status == expected, rights
    signed_in = portal.call("/v1/sessions", {"user": f"{account}@example.com", "password": PASSPHRASE}).body["token"]
    answer = mint(portal, account, key=signed_in)
    assert (answer.status, answer.body["code"]) == (HTTPStatus.FORBIDDEN, "credential_required")
    assert mint(portal, "acc_x").status == HTTPStatus.NOT_FOUND


def test_k11_over_plain_http_from_elsewhere_no_link_is_given(portal: Serving, account: str) -> None:
    answer = portal.call("/v1/portal/sessions", {"account_id": account}, headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status, answer.body["code"]) == (HTTPStatus.FORBIDDEN, "https_required")


def test_without_an_address_of_its_own_a_server_makes_no_link(tmp_path: Any) -> None:
    server = Serving(folder=tmp_path / "data", flags=("--host", "0.0.0.0")).start()
    try:
        account = server.call("/v1/accounts").body["items"][-1]["id"]
        answer = mint(server, account)
        assert (answer.status, answer.body["code"]) == (HTTPStatus.NOT_IMPLEMENTED, "portal_unavailable")
    finally:
        server.kill()
