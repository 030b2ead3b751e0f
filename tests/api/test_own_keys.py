"""What customers bring (R42), over a real server, on both databases."""

import time
from hashlib import sha256
from http import HTTPStatus
from itertools import count, takewhile
from typing import Any

import pytest

from tests.serving import Answer, Serving
from tests.signing import Pair

_numbers = count()
MINE, NEXT = "tr4wl-Kettle.9_Quay~moss+Hinge77x", "Plum_brisk:44-Orbit~vane/Tusk.81q"


@pytest.fixture(scope="module")
def allowing(api: Serving) -> str:
    """An account in which customers may choose their secrets."""
    api.call("/v1/policies", {"name": "choosing", "own_secret": "allowed"})
    made: str = api.call("/v1/accounts", {"name": "choosing", "policy": "choosing", "max_keys_per_user": 1000}).body[
        "id"
    ]
    return made


def fresh(pair: Pair, key_id: str, **words: Any) -> dict[str, Any]:
    """A request signed just now, unlike every other."""
    return pair.sign(key_id, created=int(time.time()), nonce=str(next(_numbers)), **words)


def verify(api: Serving, **asked: Any) -> dict[str, Any]:
    answer = api.call("/v1/verify", asked)
    assert answer.status == HTTPStatus.OK, answer.text
    body: dict[str, Any] = answer.body
    return body


def own(text: str) -> str:
    """A secret that no other test brings."""
    return f"{text}{next(_numbers)}-{time.time_ns()}"


def test_r42_a_label_stands_in_the_secret_and_a_reset_keeps_it(api: Serving) -> None:
    made = api.create(label="my_bot")
    assert made["secret"].startswith("kt_my_bot_live_")
    assert (made["label"], made["kind"]) == ("my_bot", "made")
    minted = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine"}).body
    assert minted["secret"].startswith("kt_my_bot_live_")
    assert api.verdict(minted["secret"]) == "valid"
    for label in ("Bot", "x" * 33, "", 7, "a-b", "own"):
        refused = api.call("/v1/keys", {"name": "x", "label": label})
        assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "invalid_field", "label")


@pytest.mark.parametrize("form", ["pem", "base64"])
def test_r42_a_public_key_verifies_signed_requests_and_no_secret_is_shown(api: Serving, form: str) -> None:
    pair = Pair()
    made = api.create(public_key=getattr(pair, form), permissions=["orders:read"])
    assert (made["secret"], made["secret_shown"], made["kind"]) == (None, False, "public_key")
    assert made["secrets"][0]["public_key"] == pair.base64.rstrip("=")
    asked = fresh(pair, made["id"])
    seen = verify(api, signed=asked, permissions=["orders:read"], ip="192.0.2.1", context={"user_agent": "bot"})
    assert (seen["valid"], seen["code"], seen["key_id"], seen["version"]) == (True, "valid", made["id"], 1)
    assert verify(api, signed=asked)["code"] == "replayed"
    colons = fresh(pair, made["id"])
    assert verify(api, signed={**colons, "signature": f":{colons['signature']}:"})["code"] == "valid"
    assert verify(api, signed=fresh(pair, made["id"]), permissions=["orders:write"])["code"] == "permission_missing"
    assert verify(api, signed=fresh(Pair(), made["id"]))["code"] == "unknown"
    assert verify(api, signed=fresh(pair, "key_none"))["code"] == "unknown"


def test_r42_what_is_wrong_with_a_signed_request_is_told_by_its_code(api: Serving) -> None:
    pair = Pair()
    made = api.create(public_key=pair.pem)
    good = fresh(pair, made["id"])
    stories = {
        "malformed": [
            good | {"key_id": "key_other"},
            good | {"base": good["base"] + "\n"},
            good | {"signature": "?"},
            good | {"signature": good["signature"][:-8]},
        ],
        "unknown": [good | {"base": good["base"].replace("/orders", "/drains")}],
        "stale": [pair.sign(made["id"], created=int(time.time()) + ahead) for ahead in (-400, 60)],
    }
    for code, asked in stories.items():
        for one in asked:
            told = verify(api, signed=one)
            assert (told["code"], told["key_id"]) == (code, None), one
    for form in ({}, {"key_id": made["id"]}, good | {"more": 1}, good | {"base": 7}, "text"):
        assert api.call("/v1/verify", {"signed": form}).status == HTTPStatus.UNPROCESSABLE_ENTITY, form
    for both in ({"signed": good, "key": "x"}, {"signed": good, "key_sha256": "0" * 64}, {"signed": None}):
        assert api.call("/v1/verify", both).body["code"] == "invalid_field"
    assert verify(api, signed=good)["code"] == "valid"


def test_r42_a_public_key_that_is_shown_is_accepted_nowhere(api: Serving) -> None:
    pair = Pair()
    made = api.create(public_key=pair.pem, permissions=["orders:read", "keyturn.keys:read"])
    assert verify(api, signed=fresh(pair, made["id"]))["code"] == "valid"
    texts = (pair.base64, pair.base64.rstrip("="), pair.pem, pair.public_key.raw.hex(), made["id"], made["hint"])
    for text in texts:
        assert verify(api, key=text)["code"] == "malformed"
        assert verify(api, key_sha256=sha256(text.encode()).hexdigest())["code"] == "unknown"
    for raw in (pair.public_key.raw, sha256(pair.public_key.raw).digest()):
        assert verify(api, key_sha256=raw.hex())["code"] == "unknown"
    for text in texts[:2]:
        assert api.call("/v1/keys", key=text).status == HTTPStatus.UNAUTHORIZED
        answer = api.call("/v1/authz", key=text, headers={"X-Keyturn-Credential": api.admin_key})
        assert (answer.status, answer.headers["x-keyturn-code"]) == (HTTPStatus.UNAUTHORIZED, "malformed")


def test_r42_a_reset_of_a_public_key_takes_the_next_one(api: Serving) -> None:
    first, second, third = Pair(), Pair(), Pair()
    made = api.create(public_key=first.pem)
    path = f"/v1/keys/{made['id']}/resets"
    minted = api.call(path, {"reason": "routine", "grace": "1h", "public_key": second.base64})
    assert (minted.status, minted.body["stage"], minted.body["secret"]) == (HTTPStatus.CREATED, "minted", None)
    assert minted.body["receipt"]["confirmed"] is True
    assert [verify(api, signed=fresh(one, made["id"]))["code"] for one in (first, second)] == ["valid", "valid"]
    again = api.call(path, {"reason": "routine", "public_key": first.pem})
    assert (again.status, again.body["code"]) == (HTTPStatus.CONFLICT, "public_key_used")
    leaked = api.call(path, {"reason": "leaked"}).body
    assert (leaked["stage"], leaked["secret"], leaked["missing"]) == ("proven", None, [])
    codes = [verify(api, signed=fresh(one, made["id"]))["code"] for one in (first, second)]
    assert codes == ["replaced", "replaced"]
    mint = f"/v1/resets/{leaked['id']}/mint"
    assert api.call(mint, {}).body["field"] == "public_key"
    assert api.call(mint, {"public_key": third.pem}).body["stage"] == "minted"
    assert verify(api, signed=fresh(third, made["id"]))["code"] == "valid"


def test_r42_a_private_key_sent_by_mistake_is_repeated_nowhere(api: Serving) -> None:
    private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END"
    refused = api.call("/v1/keys", {"name": "x", "public_key": private})
    assert (refused.status, refused.body["code"], refused.body["field"]) == (422, "invalid_field", "public_key")
    assert "MC4C" not in refused.text
    assert "MC4C" not in api.said
    both = api.call("/v1/keys", {"name": "x", "label": "b", "public_key": Pair().pem, "own_secret": MINE})
    assert (both.body["code"], both.body["field"]) == ("invalid_field", "own_secret")


def test_r42_an_own_secret_is_brought_verified_and_reset(api: Serving, allowing: str) -> None:
    mine, following = own(MINE), own(NEXT)
    label = f"bot{next(_numbers)}x{time.time_ns() % 10**9}"
    made = api.create(account_id=allowing, label=label, own_secret=mine, permissions=["orders:read"])
    assert (made["secret"], made["kind"], made["label"], made["hint"]) == (None, "own", label, f"kt_own_{label}_…")
    presented = f"kt_own_{label}_{mine}"
    wanted = {"permissions": ["orders:read"]}
    digest = sha256(presented.encode()).hexdigest()
    assert verify(api, key_sha256=digest)["code"] == "unknown"  # whose it is cannot be looked for without its label
    api.create()  # every change makes verifiers forget what was unknown
    cold = verify(api, key=presented, **wanted)
    assert (cold["code"], cold["key_id"]) == ("valid", made["id"])
    assert verify(api, key=presented, **wanted) == cold  # warm
    assert verify(api, key=presented, permissions=["orders:write"])["code"] == "permission_missing"
    assert verify(api, key=f"kt_own_{label}_{following}")["code"] == "unknown"
    gateway = {"X-Keyturn-Credential": api.admin_key, "X-Keyturn-Permission": "orders:read"}
    assert api.call("/v1/authz", key=presented, headers=gateway).status == HTTPStatus.OK
    minted = api.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine", "own_secret": following}).body
    assert (minted["stage"], minted["secret"]) == ("minted", None)
    assert verify(api, key=presented)["code"] == "replaced"
    # Cold, from afar: the label and the SHA-256 only.
    digest = sha256(f"kt_own_{label}_{following}".encode()).hexdigest()
    assert verify(api, key_sha256=digest, label=label)["code"] == "valid"
    assert verify(api, key_sha256=digest)["code"] == "valid"
    for form in ({"key": presented, "label": label}, {"key_sha256": digest, "label": "A"}, {"label": label}):
        assert api.call("/v1/verify", form).body["code"] == "invalid_field", form


def test_r42_an_own_secret_is_a_credential_like_any_other(api: Serving, allowing: str) -> None:
    mine = own(MINE)
    label = f"rights{next(_numbers)}x{time.time_ns() % 10**9}"
    api.create(account_id=allowing, label=label, own_secret=mine, permissions=["keyturn.keys:read"])
    for _ in range(2):
        assert api.call("/v1/keys", key=f"kt_own_{label}_{mine}").status == HTTPStatus.OK
    tried = (api.call("/v1/keys", key=f"kt_own_{label}_{mine}{at}").status for at in range(100))
    before = len(list(takewhile(lambda status: status == HTTPStatus.UNAUTHORIZED, tried)))
    assert 10 <= before < 99  # on a slow machine some come back while the others are tried
    told = (verify(api, key=f"kt_own_{label}_{mine}?{at}") for at in range(100))
    limited = next(one for one in told if one["code"] == "rate_limited")
    assert (limited["key_id"], limited["retry_after"] >= 1) == (None, True)
    assert api.call("/v1/keys", key=f"kt_own_{label}_{mine}").status == HTTPStatus.OK


def test_r42_weak_and_taken_look_alike_and_a_policy_that_forbids_is_named(api: Serving, allowing: str) -> None:
    mine = own(MINE)
    label = f"one{next(_numbers)}x{time.time_ns() % 10**9}"
    api.create(account_id=allowing, label=label, own_secret=mine)

    def bring(secret: str, **wish: Any) -> Answer:
        return api.call("/v1/keys", {"name": "x", "label": "free", "own_secret": secret} | wish)

    taken, weak, short = (bring(one, account_id=allowing) for one in (mine, "password" * 4, "short"))
    assert (taken.status, taken.body["code"]) == (422, "own_secret_refused")
    assert taken.text == weak.text == short.text
    assert mine not in taken.text
    forbidden = bring(own(NEXT))
    assert (forbidden.status, forbidden.body["code"]) == (403, "own_secret_forbidden")
    assert (forbidden.body["policy"], forbidden.body["field"]) == ("tradingonramp", "own_secret")
    used = bring(own(NEXT), account_id=allowing, label=label)
    assert (used.status, used.body["code"], used.body["field"]) == (409, "name_taken", "label")


def test_r42_r15_a_retry_is_answered_without_a_secret_and_another_secret_is_another_request(
    api: Serving, allowing: str
) -> None:
    once = {"Idempotency-Key": f"own-{time.time_ns()}"}
    wish = {"name": "x", "account_id": allowing, "label": f"once{next(_numbers)}x{time.time_ns() % 10**9}"}
    mine = own(MINE)
    first, again, other = (
        api.call("/v1/keys", wish | {"own_secret": one}, headers=once) for one in (mine, mine, own(NEXT))
    )
    assert first.body["id"] == again.body["id"]
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


def test_r42_pitfall_18_a_signed_request_of_somebody_elses_key_is_unknown(api: Serving) -> None:
    pair = Pair()
    made = api.create(public_key=pair.pem)
    account = api.call("/v1/accounts", {"name": "other"}).body["id"]
    owner = api.call("/v1/users", {"email": f"{account}@example.com", "account_id": account, "role": "owner"})
    stranger = api.create(permissions=["keyturn.verify"], account_id=account, owner_id=owner.body["id"])["secret"]
    asked = fresh(pair, made["id"])
    for _ in range(2):
        told = api.call("/v1/verify", {"signed": asked}, key=stranger).body
        assert (told["code"], told["key_id"]) == ("unknown", None)
    assert verify(api, signed=asked)["code"] == "valid"
