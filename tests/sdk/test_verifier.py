"""`keyturn.sdk.Verifier` before a real server: what its documentation says of answers and threads (F0)."""

import threading
import time
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import pytest

from keyturn.core.secret import RANDOM_CHARS, checksum
from keyturn.sdk import Verifier
from keyturn.sdk.clock import boot_micros
from tests.sdk.verifying import LONG, find, lapse, reset, until
from tests.serving import Serving
from tests.signing import Pair


def test_f0_a_confirmed_reset_is_final_here(server: Serving, verifier: Verifier) -> None:
    made = server.create(permissions=["orders:write"])
    verdict = verifier.verify(made["secret"], permission="orders:read")
    seen = verdict.view
    assert (verdict.code, seen and seen.key_id, verdict.profile.permissions) == ("valid", made["id"], ("orders:write",))
    done = reset(server, made["id"])
    assert done["receipt"]["confirmed"] is True
    assert done["receipt"]["verifiers"]["acknowledged"] >= 1
    for _ in range(2):
        assert verifier.verify(made["secret"]).code == "replaced"
        assert verifier.verify(done["secret"], permission="orders:read")


NOBODYS: Final = "kt_live_" + "0" * RANDOM_CHARS
WISHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "one permission": ({"permissions": ["a:read"]}, {"permission": "a:read"}, "valid"),
    "all of several": ({"permissions": ["a:read", "b:admin"]}, {"permission": ["a:read", "b:write"]}, "valid"),
    "not one of several": ({"permissions": ["a:read"]}, {"permission": ("a:read", "b:read")}, "permission_missing"),
    "more than it holds": ({"permissions": ["a:read"]}, {"permission": "a:write"}, "permission_missing"),
    "from a listed address": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "192.0.2.9"}, "valid"),
    "the same, mapped": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "::ffff:192.0.2.9"}, "valid"),
    "from another": ({"allowlist": ["192.0.2.0/24"]}, {"ip": "198.51.100.1"}, "ip_not_allowed"),
    "from none": ({"allowlist": ["192.0.2.0/24"]}, {}, "ip_not_allowed"),
}


@pytest.mark.parametrize("story", WISHES)
@pytest.mark.parametrize("leased", [True, False], ids=["leased", "asked"])
def test_pitfall_5_it_decides_alike_from_memory_and_by_a_node(
    server: Serving, verifier: Verifier, story: str, *, leased: bool
) -> None:
    wish, asked, code = WISHES[story]
    secret = server.create(**wish)["secret"]
    if not leased:
        lapse(verifier)
    verdicts = [verifier.verify(secret, **asked) for _ in range(2)]
    assert [one.code for one in verdicts] == [code, code]
    assert bool(verdicts[0]) is (code == "valid")
    warm = verifier.verify_warm(secret, **asked)
    assert (None if warm is None else warm.code) == (code if leased else None)


def test_what_is_no_permission_and_no_address_is_said(verifier: Verifier) -> None:
    for ask in (verifier.verify, verifier.verify_warm):
        for wrong in ({"permission": "orders"}, {"ip": "nowhere"}, {"ip": ""}, {"permission": ["a:read", "b"]}):
            with pytest.raises(ValueError, match="not a"):
                ask("x", **wrong)


def test_strangers(verifier: Verifier) -> None:
    assert verifier.verify("nonsense").code == "malformed"
    assert verifier.verify("\ud800").code == "malformed"
    assert verifier.verify(NOBODYS + checksum(NOBODYS)).code == "unknown"


def test_pitfall_14_a_key_just_made_is_accepted_at_once(server: Serving, verifier: Verifier) -> None:
    for _ in range(20):
        assert verifier.verify(server.create()["secret"]).code == "valid"


def test_memory_alone_answers_or_says_that_a_node_has_to(server: Serving, verifier: Verifier) -> None:
    secret = server.create()["secret"]
    limited = server.create(limit="1000/1h")["secret"]
    assert verifier.verify_warm(secret) is None
    assert verifier.verify(secret)
    assert verifier.verify_warm(secret)
    assert verifier.verify(limited)
    assert verifier.verify_warm(limited) is None, "of what is used so little, one request is borrowed at a time"
    assert verifier.verify_warm(limited, again=True), "which is for requests, not for who is still there"
    assert verifier.verify_warm(server.create()["secret"], again=True) is None


def test_f0_threads_share_it_while_keys_are_reset(server: Serving, verifier: Verifier) -> None:
    """No call that begins after a confirmed reset has returned accepts the old secret, in whichever thread."""
    made = server.create()
    current, ended = [made["secret"]], dict[str, float]()
    wrong, answered, done = list[str](), [0] * 4, threading.Event()

    def hammer(at: int) -> None:
        while not done.is_set():
            for secret in list(current)[-3:]:
                began = time.monotonic()
                if verifier.verify(secret) and began > ended.get(secret, began):
                    wrong.append(secret)
                answered[at] += 1

    threads = [threading.Thread(target=hammer, args=(at,)) for at in range(len(answered))]
    for thread in threads:
        thread.start()
    for _ in range(20):
        minted = reset(server, made["id"])
        assert minted["receipt"]["confirmed"] is True
        ended[current[-1]] = time.monotonic()
        current.append(minted["secret"])
        before = list(answered)
        until(lambda: all(now > then for now, then in zip(answered, before, strict=True)))  # noqa: B023  # asked at once
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_uses_are_reported(server: Serving, credential: str) -> None:
    made = server.create(permissions=["orders:write"])
    with Verifier(server.url, credential) as verifier:
        assert verifier.wait_until_leased(LONG)
        for _ in range(3):
            assert verifier.verify(made["secret"], permission="orders:read", ip="192.0.2.7", user_agent="bot/1")
        assert verifier.verify_warm(made["secret"], permission="orders:read", ip="192.0.2.7", user_agent="bot/1")
    until(lambda: server.call(f"/v1/keys/{made['id']}").body["last_used_at"])

    def called_by() -> Any:
        preview = server.call(f"/v1/keys/{made['id']}/resets/preview?reason=routine")
        assert preview.status == HTTPStatus.OK, preview.text
        return preview.body["called_by"]

    until(called_by)
    (one,) = called_by()
    assert (one["address"], one["permission"], one["user_agent"]) == ("192.0.2.7", "orders:read", "bot/1")
    assert one["count"] == 4


@pytest.fixture(scope="module")
def allowing(server: Serving) -> str:
    """An account in which customers may choose their secrets."""
    server.call("/v1/policies", {"name": "choosing", "own_secret": "allowed"})
    wish = {"name": "choosing", "policy": "choosing", "max_keys_per_user": 1000}
    made: str = server.call("/v1/accounts", wish).body["id"]
    return made


@pytest.mark.parametrize("leased", [True, False], ids=["leased", "asked"])
def test_r42_an_own_secret_is_known_by_its_label(
    server: Serving, verifier: Verifier, allowing: str, *, leased: bool
) -> None:
    mine, label = f"tr4wl-Kettle.9_Quay~moss+Hinge77x{leased}", f"own{int(leased)}"
    made = server.create(account_id=allowing, label=label, own_secret=mine)
    if not leased:
        lapse(verifier)
    presented = f"kt_own_{label}_{mine}"
    for _ in range(2):
        verdict = verifier.verify(presented)
        assert (verdict.code, verdict.view and verdict.view.key_id) == ("valid", made["id"])
    codes = [verifier.verify(f"kt_own_{label}_{mine}{at}").code for at in range(60)]
    assert set(codes) == {"unknown", "rate_limited"}
    limited = next(one for one in map(verifier.verify, [f"kt_own_{label}_{mine}?{at}" for at in range(60)]) if one.wait)
    assert (limited.code, limited.retry_after >= 1) == ("rate_limited", True)
    assert not leased or verifier.verify(presented)  # who is known does not wait for guesses


def test_r42_a_key_whose_requests_are_signed_is_accepted_for_no_text(server: Serving, verifier: Verifier) -> None:
    pair = Pair()
    made = server.create(public_key=pair.pem)
    for text in (pair.base64, pair.pem, pair.public_key.raw.hex(), made["id"], made["hint"]):
        assert verifier.verify(text).code == "malformed"
    for raw in (pair.public_key.raw, sha256(pair.public_key.raw).digest()):
        now = boot_micros() + verifier._holder.ahead
        assert verifier._memory.verify_cold(raw, find(verifier), now=now).code == "unknown"
