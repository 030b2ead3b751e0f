"""Each command against a real server, on both databases: its answer, its exit code, where it speaks."""

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Keyturn
from tests.serving import Serving


@pytest.fixture
def kt(served_keyturn: Keyturn) -> Keyturn:
    return served_keyturn


def made(kt: Keyturn, *options: str) -> dict[str, Any]:
    key: dict[str, Any] = kt.ok("key", "create", "test", *options)
    return key


def test_a_key_is_created_listed_shown_and_edited(kt: Keyturn) -> None:
    key = made(kt, "--permission", "orders:write", "--allow", "192.0.2.0/24", "--limit", "100/1m", "--expires", "90d")
    assert key["secret"].startswith("kt_live_")
    assert (key["permissions"], key["allowlist"], key["limit"]) == (["orders:write"], ["192.0.2.0/24"], "100/1m")
    assert key["expires_at"]
    assert key["id"] in {one["id"] for one in kt.ok("key", "list")["items"]}
    assert kt.ok("key", "show", key["id"])["name"] == "test"
    edited = kt.ok("key", "edit", key["id"], "--name", "other", "--no-limit", "--no-allowlist", "--expires", "never")
    assert (edited["name"], edited["limit"], edited["allowlist"], edited["expires_at"]) == ("other", None, [], None)
    assert edited["permissions"] == ["orders:write"]
    assert kt("key", "edit", key["id"]).code == 2
    assert kt("key", "edit", key["id"], "--limit", "1/1s", "--no-limit").code == 2


def test_for_a_person_the_secret_alone_is_data_and_the_rest_is_talk(kt: Keyturn) -> None:
    ran = kt("key", "create", "for a person")
    assert ran.code == 0
    assert ran.out.startswith("kt_live_")
    assert ran.out.count("\n") == 1
    assert "shown once" in ran.err
    assert ran.out.strip() not in ran.err


def test_out_writes_the_secret_for_its_owner_alone_and_never_over_a_file(kt: Keyturn, tmp_path: Path) -> None:
    file = tmp_path / "new.key"
    key = made(kt, "--out", str(file))
    assert key["secret"] is None
    assert key["secret_file"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text().strip()
    assert kt("verify", "--key-file", str(file)).code == 0
    before = len(kt.ok("key", "list", "--all")["items"])
    ran = kt("key", "create", "test", "--out", str(file))
    assert ran.code == 1
    assert "does not exist yet" in ran.err
    assert file.read_text().strip() == secret
    assert len(kt.ok("key", "list", "--all")["items"]) == before, "refused before the key was made"


def test_a_refused_call_leaves_no_empty_file(kt: Keyturn, tmp_path: Path) -> None:
    file = tmp_path / "none.key"
    assert kt("key", "create", "test", "--permission", "nonsense", "--out", str(file)).code == 1
    assert not file.exists()


def test_a_leaked_reset_stops_the_old_secret_and_says_so(kt: Keyturn) -> None:
    key = made(kt)
    ran = kt("key", "reset", key["id"], "--reason", "leaked")
    assert ran.code == 0
    assert "refused since" in ran.err
    assert "confirmed everywhere" in ran.err
    old, new = kt("verify", stdin=key["secret"]), kt("verify", stdin=ran.out)
    assert (old.code, old.out.strip()) == (1, "replaced")
    assert (new.code, new.out.strip()) == (0, "valid")


def test_a_routine_reset_with_a_grace_can_be_followed_and_finished(kt: Keyturn) -> None:
    key = made(kt)
    reset = kt.ok("key", "reset", key["id"], "--reason", "routine", "--grace", "1h", "--expected-version", "1")
    assert reset["receipt"]["confirmed"] is True
    assert kt("verify", stdin=key["secret"]).code == 0
    assert [one["id"] for one in kt.ok("reset", "list", "--key", key["id"])["items"]] == [reset["id"]]
    assert kt.ok("reset", "show", reset["id"])["old_stops_at"]
    assert "accepted until" in kt("reset", "show", reset["id"]).err
    assert kt.ok("reset", "finish", reset["id"])["id"] == reset["id"]
    assert kt("verify", stdin=key["secret"]).out.strip() == "replaced"
    late = kt("key", "reset", key["id"], "--reason", "routine", "--expected-version", "1")
    assert late.code == 1
    assert "[key_changed]" in late.err


def test_the_same_idempotency_key_never_shows_a_secret_twice(kt: Keyturn) -> None:
    key = made(kt, "--idempotency-key", "once-" + str(time.monotonic_ns()))
    again = ("--idempotency-key", "again-" + str(time.monotonic_ns()))
    first = kt("key", "reset", key["id"], "--reason", "routine", *again)
    second = kt("key", "reset", key["id"], "--reason", "routine", *again)
    assert (first.code, second.code) == (0, 1)
    assert second.out == ""
    assert "nobody is shown it twice" in second.err


def test_a_cool_down_exits_3(kt: Keyturn) -> None:
    key = made(kt, "--policy", "binance", "--permission", "orders:read", "--allow", "127.0.0.1")
    ran = kt("key", "reset", key["id"], "--reason", "routine", "--json")
    assert ran.code == 3, ran
    new = kt("verify", "--ip", "127.0.0.1", stdin=ran.json["secret"])
    assert (new.code, new.out.strip()) == (3, "not_yet_active")
    assert kt("reset", "show", ran.json["id"]).code == 3
    assert kt("reset", "finish", ran.json["id"]).code in (1, 3)


def test_a_dry_run_tells_what_a_reset_would_do_and_asks_for_nothing(kt: Keyturn) -> None:
    key = made(kt, "--policy", "binance", "--permission", "orders:read", "--allow", "127.0.0.1")
    assert kt("verify", "--ip", "127.0.0.1", stdin=key["secret"]).code == 0
    until = time.monotonic() + 20
    while not kt.ok("key", "reset", key["id"], "--reason", "leaked", "--dry-run")["called_by"]:
        assert time.monotonic() < until, "no use was written down"
    ran = kt("key", "reset", key["id"], "--reason", "leaked", "--dry-run")
    assert (ran.code, "revoke first" in ran.out, "used by 127.0.0.1" in ran.out) == (0, True, True), ran
    assert "no secret would be accepted" in ran.out
    plain = kt("key", "reset", key["id"], "--reason", "routine", "--dry-run")
    assert "1d (binance)" in plain.out, plain
    assert kt.ok("reset", "list", "--key", key["id"])["items"] == []


def test_a_missing_proof_exits_3_and_cancel_calls_the_reset_off(kt: Keyturn) -> None:
    key = made(kt, "--policy", "binance", "--allow", "127.0.0.1")
    ran = kt("key", "reset", key["id"], "--reason", "routine", "--waive-cool-down", "--json")
    assert ran.code == 3, ran
    assert ran.json["missing"]
    assert kt.ok("reset", "cancel", ran.json["id"])["stage"] == "ended"


def test_an_ordered_reset_exits_3_until_it_is_claimed(kt: Keyturn) -> None:
    key = made(kt)
    ordered = kt("key", "reset", key["id"], "--reason", "policy", "--claim", "--json")
    assert (ordered.code, ordered.json["secret"]) == (3, None), ordered
    shown = kt("reset", "show", ordered.json["id"])
    assert (shown.code, "not claimed yet" in shown.err) == (3, True), shown
    assert ordered.json["id"] in kt("reset", "list", "--waiting", "any").out
    claimed = kt("reset", "claim", ordered.json["id"])
    assert claimed.code == 0, claimed
    assert kt("verify", stdin=claimed.out).code == 0
    assert kt("reset", "claim", ordered.json["id"]).code == 1


def test_suspend_resume_and_revoke(kt: Keyturn) -> None:
    key = made(kt)
    suspended = kt.ok("key", "suspend", key["id"], "--reason", "looks odd")
    assert suspended["suspended"]["reason"] == "looks odd"
    assert suspended["receipt"]["confirmed"] is True
    assert kt("verify", stdin=key["secret"]).out.strip() == "suspended"
    assert kt.ok("key", "resume", key["id"])["suspended"] is None
    assert kt("verify", stdin=key["secret"]).code == 0
    assert kt.ok("key", "revoke", key["id"])["status"] == "revoked", "nobody is asked off a terminal"
    assert kt("verify", stdin=key["secret"]).out.strip() == "revoked"


def test_identify_names_the_key_of_a_found_secret(kt: Keyturn, tmp_path: Path) -> None:
    key = made(kt)
    file = tmp_path / "found"
    file.write_text(key["secret"] + "\n")
    assert kt.ok("key", "identify", "--key-file", str(file))["key_id"] == key["id"]
    assert key["id"] in kt("key", "identify", stdin=key["secret"]).out
    mangled = kt("key", "identify", stdin=key["secret"][:-1])
    assert mangled.code == 1
    assert "no key" in mangled.err
    assert kt("key", "identify", "--credential", "-", stdin=key["secret"]).code == 2


def test_verify_asks_for_permission_and_address(kt: Keyturn) -> None:
    key = made(kt, "--permission", "orders:read", "--allow", "192.0.2.0/24")
    stories = {
        ("--ip", "192.0.2.1", "--permission", "orders:read"): (0, "valid"),
        ("--ip", "192.0.2.1", "--permission", "orders:write"): (1, "permission_missing"),
        ("--ip", "198.51.100.1"): (1, "ip_not_allowed"),
        (): (1, "ip_not_allowed"),
    }
    for options, expected in stories.items():
        ran = kt("verify", *options, stdin=key["secret"])
        assert (ran.code, ran.out.strip()) == expected
    assert kt("verify", stdin="").code == 2


def test_policies_are_listed_stored_and_explained(kt: Keyturn, tmp_path: Path) -> None:
    assert "tradingonramp" in {one["name"] for one in kt.ok("policy", "list")["items"]}
    assert kt.ok("policy", "show", "binance")["fields"]["cool_down"] == "1d"
    name = f"strict-{time.monotonic_ns()}"
    file = tmp_path / "strict.toml"
    file.write_text(f'name = "{name}"\nbase = "tradingonramp"\nmax_age = "30d"\n')
    assert kt.ok("policy", "apply", str(file), "--dry-run")["impact"]["keys"] == 0
    assert kt("policy", "show", name).code == 1, "a dry run stores nothing"
    assert kt.ok("policy", "apply", str(file))["version"] == 1
    document = {"name": name, "base": "tradingonramp", "max_age": "20d"}
    assert kt.ok("policy", "apply", "-", stdin=json.dumps(document))["version"] == 2
    key = made(kt, "--policy", name)
    explained = kt.ok("policy", "explain", "--key", key["id"])
    assert explained["policy"] == name
    assert explained["fields"]["max_age"]["value"] == "20d"
    assert kt("policy", "explain").code == 2
    file.write_text("max_age = 30")
    assert kt("policy", "apply", str(file)).code == 2
    file.write_text("not a policy")
    assert kt("policy", "apply", str(file)).code == 1


def test_users_and_their_passwords(kt: Keyturn, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a long enough password\n")
    email = f"maria{time.monotonic_ns()}@example.com"
    user = kt.ok("user", "create", email, "--role", "auditor", "--name", "Maria", "--password-file", str(file))
    assert user["memberships"][0]["role"] == "auditor"
    assert email in {one["email"] for one in kt.ok("user", "list", "--all")["items"]}
    assert kt.ok("user", "show", user["id"])["name"] == "Maria"
    assert kt.ok("user", "password", user["id"], stdin="another long password\n")["id"] == user["id"]
    short = kt("user", "password", user["id"], stdin="short\n")
    assert short.code == 1
    assert "short" not in short.err.split("[")[0].split("password")[0]
    assert kt("user", "create", email).code == 1


def test_accounts(kt: Keyturn) -> None:
    account = kt.ok("account", "create", "Northwind", "--policy", "kraken", "--max-keys-per-user", "3")
    assert account["id"] in {one["id"] for one in kt.ok("account", "list", "--all")["items"]}
    edited = kt.ok("account", "edit", account["id"], "--no-policy", "--reset-allow", "192.0.2.0/24", "--name", "North")
    assert (edited["policy"], edited["reset_allowlist"], edited["max_keys_per_user"]) == (None, ["192.0.2.0/24"], 3)
    assert kt.ok("account", "edit", account["id"], "--no-reset-allowlist")["reset_allowlist"] == []
    assert kt.ok("account", "show", account["id"])["name"] == "North"
    kt.ok("user", "create", f"owner{time.monotonic_ns()}@example.com", "--account", account["id"], "--role", "owner")
    key = made(kt, "--account", account["id"])
    suspended = kt.ok("account", "suspend", account["id"], "--reason", "not paid")
    assert suspended["keys"] == 1
    assert kt("verify", stdin=key["secret"]).out.strip() == "suspended"


def test_audit_tells_of_a_refused_attempt_too(kt: Keyturn) -> None:
    key = made(kt)
    kt("key", "revoke", key["id"])
    kt("key", "reset", key["id"], "--reason", "routine")
    items = kt.ok("audit", "list", "--subject", key["id"])["items"]
    assert {"key.created", "key.revoked"} <= {one["action"] for one in items}
    assert any(one["outcome"] != "done" for one in items)


def test_lists_go_on_where_the_page_ended(kt: Keyturn) -> None:
    for _ in range(3):
        made(kt)
    first = kt.ok("key", "list", "--limit", "1")
    assert len(first["items"]) == 1
    second = kt.ok("key", "list", "--limit", "1", "--cursor", first["next_cursor"])
    assert second["items"] != first["items"]
    ran = kt("key", "list", "--limit", "1")
    assert "--cursor" in ran.err
    assert "--cursor" not in ran.out


def test_a_webhook_is_added_shown_edited_rotated_and_removed(kt: Keyturn, tmp_path: Path) -> None:
    made = kt.ok("webhook", "create", "https://localhost.example.com/hook", "--event", "key.nothing")
    assert made["secret"].startswith("whsec_")
    assert kt.ok("webhook", "show", made["id"])["events"] == ["key.nothing"]
    assert made["id"] in {one["id"] for one in kt.ok("webhook", "list")["items"]}
    assert kt.ok("webhook", "edit", made["id"], "--event", "key.none")["events"] == ["key.none"]
    assert kt("webhook", "edit", made["id"]).code == 2
    assert kt.ok("webhook", "suspend", made["id"])["suspended_at"]
    assert "suspended since" in kt("webhook", "list").out
    assert kt.ok("webhook", "resume", made["id"])["suspended_at"] is None
    file = tmp_path / "secret"
    rotated = kt.ok("webhook", "rotate", made["id"], "--out", str(file))
    assert (rotated["secret"], rotated["version"]) == (None, 2)
    assert file.read_text().startswith("whsec_")
    for_a_person = kt("webhook", "rotate", made["id"])
    assert for_a_person.out.startswith("whsec_")
    assert for_a_person.out.count("\n") == 1
    assert made["id"] in kt("webhook", "remove", made["id"], "--yes").out
    assert kt("webhook", "show", made["id"]).code == 1
    assert kt("webhook", "create", "https://10.0.0.1/").code == 1


def test_what_was_told_is_listed(kt: Keyturn) -> None:
    key = made(kt)
    kt.ok("key", "suspend", key["id"])
    until = time.monotonic() + 15
    while not (found := kt.ok("notice", "list", "--key", key["id"])["items"]):
        assert time.monotonic() < until, "nothing was told"
        time.sleep(0.1)
    assert found[-1]["kind"] == "key.created"
    assert "a…@localhost" in kt("notice", "list", "--key", key["id"]).out


def test_doctor_finds_the_server(served: Serving, keyturn: Keyturn, bare: pytest.MonkeyPatch) -> None:
    if served.database_url:
        bare.setenv("KEYTURN_DATABASE_URL", served.database_url)
    checks = keyturn.ok("doctor", "--data", str(served.folder), "--port", str(served.port))["checks"]
    found = {one["check"]: one for one in checks}
    assert "a keyturn server answers" in found["port"]["found"]
    assert (found["database"]["result"], found["pepper"]["result"]) == ("ok", "ok")


def test_init_and_migrate_keep_off_while_a_server_runs(
    served: Serving, keyturn: Keyturn, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = served.folder
    if served.database_url:
        bare.setenv("KEYTURN_DATABASE_URL", served.database_url)
        folder = tmp_path / "another"  # a schema is changed while no server uses it, whatever folder it has
    for command in (("init",), ("init", "--new-admin-key"), ("migrate",)):
        if served.database_url and command != ("migrate",):
            continue  # another server may join
        ran = keyturn(*command, "--data", str(folder))
        assert ran.code == 1
        assert "keyturn server is using" in ran.err
