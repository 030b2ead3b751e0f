"""The protocol over HTTP: stages, proofs, replays, self reset, receipts (R10 to R24, R40, R53)."""

import threading
import time
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import count
from typing import Any

from tests.serving import Serving

PASSPHRASE = "a pass phrase long enough"
_numbers = count()


def _person(api: Serving, *, policy: dict[str, Any], role: str = "owner") -> tuple[dict[str, Any], str]:
    """A key in an account of its own, and the session of a person of that account."""
    number = next(_numbers)
    name = f"policy-{number}"
    stored = api.call("/v1/policies", {"name": name, "base": "aws", "manual": "protocol"} | policy)
    assert stored.status in (HTTPStatus.CREATED, HTTPStatus.CONFLICT), stored.text
    account = api.call("/v1/accounts", {"name": f"people {number}", "policy": name}).body["id"]
    email = f"person{number}@example.com"
    wish = {"email": email, "password": PASSPHRASE, "account_id": account, "role": role}
    owner = api.call("/v1/users", wish).body["id"]
    key = api.create(account_id=account, owner_id=owner)
    token = api.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
    return key, token


def test_r53_a_credential_that_proves_enough_gets_secret_and_receipt_at_once(api: Serving) -> None:
    made = api.create()
    reset = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked", "expected_version": 1})
    assert reset.status == HTTPStatus.CREATED
    body = reset.body
    assert (body["stage"], body["missing"], body["new_version"], body["secret_shown"]) == ("minted", [], 2, False)
    receipt = body["receipt"]
    assert (receipt["reset"], receipt["key"], receipt["confirmed"]) == (body["id"], made["id"], True)
    assert receipt["verifiers"] == {"acknowledged": 1, "waited_out": [], "unleased": []}
    assert (api.verdict(made["secret"]), api.verdict(body["secret"])) == ("replaced", "valid")
    read = api.call(f"/v1/resets/{body['id']}").body
    assert (read["stage"], "secret" in read) == ("settled", False)


def test_r10_r11_a_person_proves_then_mints(api: Serving) -> None:
    key, token = _person(api, policy={"grace_default": "0s", "grace_max": "1h"})
    asked = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}, key=token)
    assert (asked.status, asked.body["stage"], asked.body["missing"]) == (201, "asked", ["password"])
    assert asked.body["secret"] is None
    path = f"/v1/resets/{asked.body['id']}"
    early = api.call(f"{path}/mint", {}, key=token)
    assert (early.status, early.body["code"], early.body["stage"]) == (409, "reset_out_of_order", "asked")
    wrong = api.call(f"{path}/proofs", {"kind": "password", "password": "not it"}, key=token)
    assert (wrong.status, wrong.body["code"], wrong.body["attempts_left"]) == (403, "proof_refused", 4)
    proven = api.call(f"{path}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    assert (proven.body["stage"], proven.body["missing"]) == ("proven", [])
    minted = api.call(f"{path}/mint", {}, key=token)
    assert minted.body["stage"] == "minted"
    assert (api.verdict(key["secret"]), api.verdict(minted.body["secret"])) == ("replaced", "valid")
    again = api.call(f"{path}/mint", {}, key=token)
    assert (again.status, again.body["code"]) == (409, "reset_out_of_order")


def test_the_new_secret_goes_to_the_asker_in_the_same_session_alone(api: Serving) -> None:
    key, token = _person(api, policy={})
    email = api.call(f"/v1/users/{key['owner_id']}").body["email"]
    other = api.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}, key=token).body["id"]
    path = f"/v1/resets/{reset}"
    stolen = api.call(f"{path}/proofs", {"kind": "password", "password": PASSPHRASE}, key=other)
    assert stolen.body["code"] == "proof_refused"
    api.call(f"{path}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    for thief in (other, api.admin_key):
        refused = api.call(f"{path}/mint", {}, key=thief)
        assert (refused.status, refused.body["code"]) == (403, "not_the_asker")
    assert api.call(f"{path}/mint", {}, key=token).body["secret"]


def test_r11_too_many_wrong_proofs_end_the_reset(api: Serving) -> None:
    key, token = _person(api, policy={"attempts": 2})
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}, key=token).body["id"]
    path = f"/v1/resets/{reset}"
    codes = [
        api.call(f"{path}/proofs", {"kind": "password", "password": "not it"}, key=token).body["code"] for _ in range(3)
    ]
    assert codes == ["proof_refused", "too_many_attempts", "reset_out_of_order"]
    assert api.call(path, key=token).body["stage"] == "ended"


def test_r22_leaked_suspends_at_once_and_cancelling_leaves_it_so(api: Serving) -> None:
    key, token = _person(api, policy={})
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "leaked"}, key=token).body["id"]
    assert api.verdict(key["secret"]) == "suspended"
    api.call(f"/v1/resets/{reset}/cancel", {}, key=token)
    assert api.verdict(key["secret"]) == "suspended"
    refused = api.call(f"/v1/keys/{key['id']}/resume", {}, key=token)
    assert (refused.status, refused.body["code"]) == (403, "proof_required")
    again = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "leaked"}, key=token).body["id"]
    api.call(f"/v1/resets/{again}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    assert api.verdict(key["secret"]) == "replaced"
    minted = api.call(f"/v1/resets/{again}/mint", {}, key=token).body
    assert api.verdict(minted["secret"]) == "valid"


def test_r5_r14_one_reset_is_open_at_a_time(api: Serving) -> None:
    key, token = _person(api, policy={})
    path = f"/v1/keys/{key['id']}/resets"
    first = api.call(path, {"reason": "routine"}, key=token).body["id"]
    for asker in (token, api.admin_key):
        second = api.call(path, {"reason": "routine"}, key=asker)
        assert (second.status, second.body["code"], second.body["reset_id"]) == (409, "reset_already_open", first)
    assert api.call(f"/v1/resets/{first}/cancel", {}, key=token).body["stage"] == "ended"
    assert api.call(path, {"reason": "routine"}).body["secret"]


def test_r14_of_many_at_once_with_the_same_expected_version_one_wins(api: Serving) -> None:
    made = api.create()
    answers: list[Any] = []

    def reset() -> None:
        answers.append(api.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "expected_version": 1}))

    threads = [threading.Thread(target=reset) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [answer for answer in answers if answer.status == HTTPStatus.CREATED]
    lost = {answer.body["code"] for answer in answers if answer.status != HTTPStatus.CREATED}
    assert (len(won), lost) == (1, {"key_changed"})


def test_r15_a_replayed_reset_is_the_same_and_shows_no_secret(api: Serving) -> None:
    made = api.create()
    path, once = f"/v1/keys/{made['id']}/resets", {"Idempotency-Key": "reset-once"}
    first = api.call(path, {"reason": "routine"}, headers=once).body
    again = api.call(path, {"reason": "routine"}, headers=once).body
    assert (again["id"], again["secret"], again["secret_shown"]) == (first["id"], None, True)
    assert again["receipt"]["rev"] == first["receipt"]["rev"]
    assert api.call(f"/v1/keys/{made['id']}").body["version"] == 2


def test_r15_reset_again_before_the_new_secret_starts_replaces_it(api: Serving) -> None:
    key = api.create(policy="binance")
    path = f"/v1/keys/{key['id']}/resets"
    first = api.call(path, {"reason": "routine"}).body
    assert (api.verdict(key["secret"]), api.verdict(first["secret"])) == ("valid", "not_yet_active")
    finish = api.call(f"/v1/resets/{first['id']}/finish", {})
    assert (finish.status, finish.body["code"]) == (409, "new_not_started")
    second = api.call(path, {"reason": "routine"}).body
    assert second["new_starts_at"] == first["new_starts_at"]
    assert api.verdict(first["secret"]) == "replaced"
    assert api.call(f"/v1/resets/{first['id']}").body["stage"] == "ended"
    assert (api.verdict(key["secret"]), api.verdict(second["secret"])) == ("valid", "not_yet_active")


def test_r15_reset_again_finds_the_waiting_one_behind_a_reset_that_came_to_nothing(api: Serving) -> None:
    path = f"/v1/keys/{api.create(policy='binance')['id']}/resets"
    first = api.call(path, {"reason": "routine"}).body
    idle = api.call(path, {"reason": "routine", "waive_cool_down": True}).body
    assert idle["stage"] == "asked"
    api.call(f"/v1/resets/{idle['id']}/cancel", {})
    again = api.call(path, {"reason": "routine"}).body
    assert again["new_starts_at"] == first["new_starts_at"]
    assert api.call(f"/v1/resets/{first['id']}").body["stage"] == "ended"


def test_r20_grace_finish_and_who_still_uses_the_old_one(api: Serving) -> None:
    made = api.create(permissions=["orders:read"])
    reset = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "grace": "1h"}).body
    assert (api.verdict(made["secret"]), api.verdict(reset["secret"])) == ("valid", "valid")
    asked = {"permissions": ["orders:read"], "ip": "192.0.2.9", "context": {"user_agent": "old bot/1.0"}}
    assert api.verdict(made["secret"], **asked) == "valid"
    path = f"/v1/resets/{reset['id']}"
    used: list[dict[str, Any]] = []
    for _ in range(100):
        used = [one for one in api.call(path).body["used_by"] if one["address"]]
        if used:
            break
        threading.Event().wait(0.1)
    assert [(one["address"], one["permission"], one["user_agent"], one["count"]) for one in used] == [
        ("192.0.2.9", "orders:read", "old bot/1.0", 1)
    ]
    finished = api.call(f"{path}/finish", {}).body
    assert finished["receipt"]["confirmed"] is True
    assert (api.verdict(made["secret"]), api.verdict(reset["secret"])) == ("replaced", "valid")


def test_r20_lost_stops_the_old_one_at_the_first_use_of_the_new(api: Serving) -> None:
    made = api.create()
    reset = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "lost"}).body
    assert api.verdict(made["secret"]) == "valid"
    assert api.verdict(reset["secret"]) == "valid"
    for _ in range(100):
        if api.verdict(made["secret"]) == "replaced":
            break
        threading.Event().wait(0.1)
    assert api.verdict(made["secret"]) == "replaced"
    assert api.call(f"/v1/resets/{reset['id']}").body["first_used_at"]


def test_r20_a_reset_of_an_ended_key_is_refused(api: Serving) -> None:
    revoked = api.create()
    api.call(f"/v1/keys/{revoked['id']}/revoke", {})
    refused = api.call(f"/v1/keys/{revoked['id']}/resets", {"reason": "routine"})
    assert (refused.status, refused.body["code"]) == (409, "key_revoked")


def test_r20_a_grace_beyond_the_policy_is_refused_and_a_leak_has_none(api: Serving) -> None:
    made = api.create()
    path = f"/v1/keys/{made['id']}/resets"
    refused = api.call(path, {"reason": "routine", "grace": "8d"})
    assert (refused.status, refused.body["code"], refused.body["policy"]) == (422, "grace_too_long", "tradingonramp")
    leaked = api.call(path, {"reason": "leaked", "grace": "8d"}).body
    assert leaked["old_stops_at"] == leaked["minted_at"]


def test_r23_a_reset_narrows_and_never_widens(api: Serving) -> None:
    made = api.create(permissions=["orders:write", "fills:read"], allowlist=["192.0.2.0/24"])
    path = f"/v1/keys/{made['id']}/resets"
    for field, value in (
        ("permissions", ["orders:admin"]),
        ("allowlist", ["0.0.0.0/1"]),
        ("allowlist", []),
    ):
        refused = api.call(path, {"reason": "routine", "narrow": {field: value}})
        assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "widening_refused", field)
    api.call(path, {"reason": "routine", "narrow": {"permissions": ["orders:read"], "allowlist": ["192.0.2.7"]}})
    key = api.call(f"/v1/keys/{made['id']}").body
    assert (key["permissions"], key["allowlist"]) == (["orders:read"], ["192.0.2.7/32"])


def test_r24_waiving_a_cool_down_takes_two_administrators_who_were_there_before(api: Serving) -> None:
    """One person who makes a second user for it is still one."""
    account = api.call("/v1/accounts", {"name": "cool", "policy": "binance", "max_keys_per_user": 1000}).body["id"]
    key = api.create(account_id=account)
    deployment = api.call("/v1/self").body["account_id"]

    def administrator() -> str:
        wish = {"email": f"second{next(_numbers)}@example.com", "account_id": deployment, "role": "admin"}
        made = api.create(permissions=["keyturn.admin"], owner_id=api.call("/v1/users", wish).body["id"])
        return str(made["secret"])

    second = administrator()
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine", "waive_cool_down": True}).body
    assert (reset["stage"], reset["secret"]) == ("asked", None)
    assert "administrator+second_administrator" in reset["missing"]
    proofs = f"/v1/resets/{reset['id']}/proofs"
    assert api.call(proofs, {"kind": "administrator"}).body["stage"] == "asked"
    assert api.call(proofs, {"kind": "administrator"}).body["stage"] == "asked"  # the same person twice is one
    late = api.call(proofs, {"kind": "administrator"}, key=administrator())
    assert (late.status, late.body["code"]) == (403, "administrator_too_new")
    assert api.call(proofs, {"kind": "administrator"}, key=second).body["stage"] == "proven"
    minted = api.call(f"/v1/resets/{reset['id']}/mint", {}).body
    assert api.verdict(minted["secret"]) == "valid"


def test_r25_a_leak_takes_what_the_key_has_created_with_it(api: Serving) -> None:
    parent = api.create(permissions=["*:read", "keyturn.keys:write"])
    child = api.call("/v1/keys", {"name": "child"}, key=parent["secret"]).body
    ask = {"reason": "leaked", "suspend_created_since": "2020-01-01T00:00:00Z"}
    assert api.call(f"/v1/keys/{parent['id']}/resets", ask).status == HTTPStatus.CREATED
    assert api.verdict(child["secret"]) == "suspended"


def test_r40_a_key_resets_itself_only_where_the_policy_says_so_and_always_revokes_itself(api: Serving) -> None:
    plain = api.create(permissions=["*:read", "keyturn.keys:reset"])
    for path in ("/v1/self/reset", f"/v1/keys/{plain['id']}/resets"):
        refused = api.call(path, {"reason": "routine"}, key=plain["secret"])
        assert (refused.status, refused.body["code"]) == (403, "self_reset_forbidden"), path
    name = f"own-{next(_numbers)}"
    api.call("/v1/policies", {"name": name, "self_reset": "allowed"})
    allowed = api.create(policy=name)
    fresh = api.call("/v1/self/reset", {}, key=allowed["secret"]).body
    assert (fresh["channel"], api.verdict(fresh["secret"])) == ("key", "valid")
    assert api.call("/v1/self", key=fresh["secret"]).body["version"] == 2
    gone = api.call("/v1/self/revoke", {}, key=fresh["secret"])
    assert (gone.status, gone.body["status"]) == (200, "revoked")
    assert api.verdict(fresh["secret"]) == "revoked"


def test_r43_people_are_held_to_the_manual_mode_of_the_policy(api: Serving) -> None:
    key, token = _person(api, policy={"manual": "forbidden"})
    refused = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}, key=token)
    assert (refused.status, refused.body["code"]) == (403, "manual_reset_forbidden")
    assert api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}).body["secret"]
    key, token = _person(api, policy={"manual": "two_step"})
    reset = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine"}, key=token).body["id"]
    api.call(f"/v1/resets/{reset}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    assert api.verdict(key["secret"]) == "valid"
    assert api.call(f"/v1/resets/{reset}/finish", {}, key=token).body["stage"] == "proven"
    assert api.verdict(key["secret"]) == "replaced"
    assert api.verdict(api.call(f"/v1/resets/{reset}/mint", {}, key=token).body["secret"]) == "valid"


def test_r43_r41_a_preview_tells_of_two_steps_and_of_one_where_the_reset_was_ordered(api: Serving) -> None:
    grace = {"grace_default": "1h", "grace_max": "7d", "wait_for_first_use": False, "cool_down": "0s"}
    key, token = _person(api, policy={"manual": "two_step"} | grace)
    path = f"/v1/keys/{key['id']}/resets"
    told = api.call(f"{path}/preview?reason=routine", key=token).body
    assert (told["order"], told["waits_for_first_use"]) == ("two_step", False)
    assert api.call(path, {"reason": "personnel", "claim": True}).status == HTTPStatus.CREATED
    told = api.call(f"{path}/preview?reason=routine", key=token).body
    assert (told["order"], told["waits_for_first_use"]) == ("create_first", False)
    stops, starts = (datetime.fromisoformat(told[name]) for name in ("old_stops_at", "new_starts_at"))
    assert stops - starts == timedelta(hours=1), "as whoever claims it would get"


def test_k9_a_reset_starts_only_from_the_accounts_addresses_while_suspending_is_free(api: Serving) -> None:
    wish = {"name": "here", "reset_allowlist": ["198.51.100.0/24"], "max_keys_per_user": 1000}
    account = api.call("/v1/accounts", wish).body["id"]
    key = api.create(account_id=account)
    refused = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "leaked"})
    assert (refused.status, refused.body["code"]) == (403, "reset_origin_refused")
    assert api.verdict(key["secret"]) == "valid"
    assert api.call(f"/v1/keys/{key['id']}/suspend", {}).status == HTTPStatus.OK
    api.call(f"/v1/accounts/{account}", {"reset_allowlist": ["127.0.0.0/8"]}, method="PATCH")
    assert api.call(f"/v1/keys/{key['id']}/resets", {"reason": "leaked"}).body["secret"]


def test_r32_a_policy_says_first_what_it_would_change(api: Serving) -> None:
    name = f"strict-{next(_numbers)}"
    assert api.call("/v1/policies", {"name": name, "grace_max": "1h"}).status == HTTPStatus.CREATED
    account = api.call("/v1/accounts", {"name": "governed", "policy": name, "max_keys_per_user": 1000}).body["id"]
    api.create(account_id=account)
    dry = api.call("/v1/policies", {"name": name, "grace_max": "1h", "max_age": "0s", "dry_run": True})
    assert (dry.status, dry.body["impact"]["keys"], len(dry.body["impact"]["keys_due"])) == (200, 1, 1)
    assert api.call(f"/v1/policies/{name}").body["version"] == 1
    taken = api.call("/v1/policies", {"name": "binance"})
    assert (taken.status, taken.body["code"]) == (409, "name_taken")
    explained = api.call(f"/v1/policies/explain?account_id={account}").body
    assert (explained["fields"]["grace_max"]["value"], explained["fields"]["grace_max"]["from"]) == ("1h", name)


def test_k30_every_change_and_every_refused_attempt_is_recorded(api: Serving) -> None:
    made = api.create()
    api.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "grace": "99d"})
    api.call(f"/v1/keys/{made['id']}/resets", {"reason": "leaked"})
    records = api.call(f"/v1/audit?subject_id={made['id']}").body["items"]
    assert [(one["action"], one["outcome"]) for one in records] == [
        ("reset.asked", "grace_too_long"),
        ("key.created", "done"),
    ]
    reader = api.create(permissions=["keyturn.keys:read"])["secret"]
    assert api.call("/v1/audit", key=reader).body["code"] == "permission_missing"


def test_f11_an_account_is_suspended_in_one_step(api: Serving) -> None:
    account = api.call("/v1/accounts", {"name": "bulk", "max_keys_per_user": 1000}).body["id"]
    made = [api.create(account_id=account)["secret"] for _ in range(3)]
    outside = api.create()["secret"]
    assert {api.verdict(secret) for secret in made} == {"valid"}
    done = api.call(f"/v1/accounts/{account}/suspend", {"reason": "incident"}).body
    assert (done["keys"], done["receipt"]["confirmed"]) == (3, True)
    assert ({api.verdict(secret) for secret in made}, api.verdict(outside)) == ({"suspended"}, "valid")


def test_people_sign_in_and_out(api: Serving) -> None:
    key, token = _person(api, policy={}, role="member")
    assert [one["id"] for one in api.call("/v1/keys", key=token).body["items"]] == [key["id"]]
    email = api.call(f"/v1/users/{key['owner_id']}").body["email"]
    wrong = [
        api.call("/v1/sessions", {"user": user, "password": "not the pass phrase"})
        for user in (email, "nobody@example.com")
    ]
    assert {(answer.status, answer.text) for answer in wrong} == {(401, wrong[0].text)}
    assert api.call("/v1/sessions/current", method="DELETE", key=token).status == HTTPStatus.NO_CONTENT
    assert api.call("/v1/keys", key=token).status == HTTPStatus.UNAUTHORIZED


def test_a_preview_tells_what_a_reset_would_do_and_who_would_notice(api: Serving) -> None:
    key, token = _person(api, policy={"cool_down": "24h", "grace_max": "1h", "grace_default": "1h"})
    asked = {"permissions": ["*:read"], "ip": "192.0.2.9", "context": {"user_agent": "bot/3"}}
    assert api.verdict(key["secret"], **asked) == "valid"
    path = f"/v1/keys/{key['id']}/resets/preview"

    until = time.monotonic() + 20
    while not (called := api.call(f"{path}?reason=routine", key=token).body["called_by"]):
        assert time.monotonic() < until, "no use was written down"
    (use,) = called
    assert (use["address"], use["permission"], use["user_agent"], use["count"]) == (
        "192.0.2.9",
        "*:read",
        "bot/3",
        1,
    )
    body = api.call(f"{path}?reason=routine&grace=30m", key=token).body
    assert (body["order"], body["missing"], body["version"]) == ("create_first", ["password"], 1)
    assert (body["cool_down"]["value"], body["grace"]["value"], body["waits_for_first_use"]) == ("1d", "30m", False)
    assert body["new_starts_at"] < body["old_stops_at"]
    assert {"sessions", "permissions", "other_keys"} <= set(body["untouched"])
    leaked = api.call(f"{path}?reason=leaked&waive_cool_down=true", key=token).body
    assert (leaked["order"], leaked["gap"]["until"], leaked["old_stops_at"]) == (
        "revoke_first",
        None,
        leaked["gap"]["since"],
    )
    assert api.call("/v1/resets", key=token).body["items"] == []
    for query in ("", "?reason=nonsense", "?reason=lost&grace=7", "?reason=lost&narrow=x"):
        assert api.call(path + query, key=token).status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert api.call(f"{path}?reason=routine&grace=2h", key=token).body["code"] == "grace_too_long"


def test_r41_an_ordered_reset_waits_is_claimed_and_minted_to_the_claimer(api: Serving) -> None:
    key, token = _person(api, policy={"grace_default": "0s", "grace_max": "7d"})
    ordered = api.call(f"/v1/keys/{key['id']}/resets", {"reason": "personnel", "claim": True, "grace": "7d"})
    body = ordered.body
    assert (ordered.status, body["stage"], body["secret"], body["asked_by"]) == (201, "asked", None, None)
    assert (body["missing"], body["channel"], body["claimed_at"]) == (["password"], "trigger", None)
    assert body["ordered_by"]
    path = f"/v1/resets/{body['id']}"
    early = api.call(f"{path}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    assert (early.status, early.body["code"]) == (409, "claim_waits")
    for asked in ("mine", "any"):
        assert [one["id"] for one in api.call(f"/v1/resets?waiting={asked}", key=token).body["items"]] == [body["id"]]
    claimed = api.call(f"{path}/claim", {}, key=token).body
    assert (claimed["asked_by"], claimed["channel"]) == (key["owner_id"], "person")
    assert claimed["claimed_at"]
    api.call(f"{path}/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
    minted = api.call(f"{path}/mint", {}, key=token).body
    assert (api.verdict(key["secret"]), api.verdict(minted["secret"])) == ("valid", "valid")
    assert minted["old_stops_at"] == body["lapses_at"], "by the end that the order set"
    assert api.call("/v1/resets?waiting=mine", key=token).body["items"] == []
    for query in ("waiting=all", f"waiting=any&key_id={key['id']}"):
        assert api.call(f"/v1/resets?{query}", key=token).status == HTTPStatus.UNPROCESSABLE_ENTITY
