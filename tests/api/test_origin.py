"""Where a reset may start, behind a listed proxy (K9, pitfall 12): the address that the proxy saw decides."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_resets import PASSPHRASE
from tests.serving import Answer, Serving

HOME, AWAY = "192.0.2.7", "198.51.100.7"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    config = tmp_path / "keyturn.toml"
    config.write_text('trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]\n')
    serving = Serving(folder=tmp_path / "data", flags=("--config", str(config))).start()
    yield serving
    serving.kill()


def test_k9_pitfall_12_a_reset_starts_and_is_minted_from_where_the_proxy_saw_it_come(server: Serving) -> None:
    def call(path: str, body: Any = None, *, via: str = HOME, key: str = "", method: str = "") -> Answer:
        headers = {"X-Forwarded-For": via, "X-Forwarded-Proto": "https"}
        return server.call(path, body, headers=headers, key=key or server.admin_key, method=method)

    rules = {"name": "at-home", "base": "aws", "manual": "protocol", "reset_origin": "allowlist_only"}
    call("/v1/policies", rules)
    wish = {"name": "home", "policy": "at-home", "reset_allowlist": ["192.0.2.0/24", "2001:db8::/32"]}
    account = call("/v1/accounts", wish).body["id"]
    person = {"email": "o@example.com", "password": PASSPHRASE, "role": "owner", "account_id": account}
    owner = call("/v1/users", person).body["id"]
    key = call("/v1/keys", {"name": "bot", "account_id": account, "owner_id": owner}).body
    token = call("/v1/sessions", {"user": "o@example.com", "password": PASSPHRASE}).body["token"]
    path, reason = f"/v1/keys/{key['id']}/resets", {"reason": "routine"}
    for via in (AWAY, f"{HOME}, {AWAY}", f"{HOME}, {AWAY}, 10.0.0.1", "garbage", "2001:db9::1", "::ffff:198.51.100.7"):
        for asker in (token, server.admin_key):
            refused = call(path, reason, via=via, key=asker)
            assert (refused.status, refused.body["code"]) == (HTTPStatus.FORBIDDEN, "reset_origin_refused"), via
            assert refused.body["policy"] == "at-home"
    assert call(f"/v1/keys/{key['id']}/suspend", {}, via=AWAY, key=token).status == HTTPStatus.OK
    reset = call(path, {"reason": "leaked"}, via=f"{AWAY}, {HOME}, 10.0.0.1", key=token).body
    proof = {"kind": "password", "password": PASSPHRASE}
    assert call(f"/v1/resets/{reset['id']}/proofs", proof, via=AWAY, key=token).status == HTTPStatus.OK
    assert call(f"/v1/resets/{reset['id']}/mint", {}, via=AWAY, key=token).body["code"] == "reset_origin_refused"
    assert call(f"/v1/resets/{reset['id']}/mint", {}, via="2001:db8::9", key=token).body["secret"]
    edit = {"reset_allowlist": ["198.51.100.0/24"]}
    blunt = call(f"/v1/accounts/{account}", edit, key=token, method="PATCH")
    assert (blunt.status, blunt.body["code"], blunt.body["missing"]) == (403, "proof_required", ["password"])
    shown = call("/v1/sessions/current/proofs", proof, key=token)
    assert shown.status == HTTPStatus.CREATED, shown.text
    token = shown.body["token"]  # another one from here on
    assert call(f"/v1/accounts/{account}", edit, key=token, method="PATCH").status == HTTPStatus.OK
    assert call(path, reason, via=AWAY, key=token).status == HTTPStatus.CREATED
