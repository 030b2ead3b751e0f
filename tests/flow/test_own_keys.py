"""What customers bring (R42), through the real flows on both databases: labels, public keys, own secrets."""

import threading
from base64 import b64decode
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import event

from keyturn.core.instant import to_micros
from keyturn.core.key import Key
from keyturn.core.own_secret import JUDGED, LEAST_BITS, Brought, salt, seen_salt
from keyturn.core.public_key import PublicKey
from keyturn.core.refusal import OwnSecretForbidden, OwnSecretRefused
from keyturn.core.secret import SecretKind, SecretText, is_well_formed
from keyturn.core.stage import Stage
from keyturn.flow import account as accounts
from keyturn.flow.account import AccountEdit
from keyturn.flow.own_secret import FAILURES, TooManyFailures
from keyturn.flow.replay import Once
from keyturn.outside import ed25519
from keyturn.outside.stretcher import MOST_AT_ONCE, MOST_WAITING, Argon2Stretcher, what_is_judged
from keyturn.ports.store import StoreBusy
from keyturn.verify.signed import Signed
from tests.flow.customer import everything, kind
from tests.signing import Pair
from tests.world import World, sure, unseen

HOUR = timedelta(hours=1)
MINE, NEXT, THIRD = (
    "tr4wl-Kettle.9_Quay~moss+Hinge77x",
    "Plum_brisk:44-Orbit~vane/Tusk.81q",
    "m0ss.Ferry~19-Gulf_wren+Basil53z",
)
WEAK = "password" * 4


@pytest.fixture
def allowing(here: World) -> dict[str, Any]:
    """An account in which customers may choose their secrets."""
    account = here.account(policy=here.policy(own_secret="allowed", grace_max="7d"))
    here.user(account)
    return {"account_id": account.id}


def signed_code(here: World, pair: Pair, key: Key, *, cold: bool = False, **asked: Any) -> str:
    """What a request that was never there before is answered, signed now."""
    now = to_micros(here.clock())
    words = pair.sign(key.id, created=now // 1_000_000, nonce=str(next(here.numbers)))
    signed = Signed(words["key_id"], words["base"], b64decode(words["signature"]))
    verifier = here.verifier
    refused = verifier.refuse_signed(signed, now=now)
    if refused is not None:
        return refused.code
    signer = None if cold else verifier.signer(key.id)
    signer = signer or verifier.fill_signer(here.store.lookup_signer(key.id))
    if signer is None:
        return "unknown"
    matches = partial(ed25519.matches, signature=signed.signature, message=signed.base.encode())
    return verifier.decide_signed(signer, signed, matches, now=now, **asked).code


# Labels


def test_r42_r23_a_label_stands_in_every_secret_of_its_key(here: World) -> None:
    """Pitfall 17: brand and label are stored, so a reset writes the same in front."""
    made = here.key(label="my_bot")
    assert unseen(made).startswith("kt_my_bot_live_")
    minted = sure(here.ask(here.root, made.key))
    assert unseen(minted).startswith("kt_my_bot_live_")
    assert (here.get(made.key.id).label, here.get(made.key.id).brand) == ("my_bot", "kt_my_bot")
    assert [here.code(unseen(minted)), here.cold_code(unseen(minted))] == ["valid", "valid"]
    sure(here.try_key(here.root, label="my_bot"))  # a word, not a name: made secrets may share it
    refused = here.try_key(here.root, label="not a label")
    assert (kind(refused), here.audit()[-1].outcome) == ("invalid_field", "invalid_field")


# Public keys


def test_r42_a_key_that_is_a_public_key_holds_no_secret_and_is_decided_on_like_any_other(here: World) -> None:
    pair = Pair()
    made = here.key(bring=pair.public_key, permissions=("orders:read",))
    assert (made.secret, made.secret_shown, made.key.kind) == (None, False, SecretKind.PUBLIC_KEY)
    assert here.audit()[-1].detail == {"kind": "public_key"}
    assert signed_code(here, pair, made.key) == "valid"
    assert signed_code(here, pair, made.key, cold=True) == "valid"
    assert signed_code(here, pair, made.key, permissions=("orders:write",)) == "permission_missing"
    assert signed_code(here, Pair(), made.key) == "unknown"
    sure(here.on_key("suspend", here.root, made.key.id, reason="odd"))
    assert signed_code(here, pair, made.key) == "suspended"
    plain = here.key().key
    assert signed_code(here, pair, plain) == "unknown"
    assert here.store.lookup_signer(plain.id).state is None  # nor is it held: any id may be asked for
    assert here.store.lookup_signer("key_none").state is None


def test_r42_a_public_key_is_public_and_proves_nothing_when_it_is_shown(here: World) -> None:
    pair = Pair()
    here.key(bring=pair.public_key)
    raw = pair.public_key.raw
    for shown in (pair.base64, pair.base64.rstrip("="), pair.pem, raw.hex(), here.audit()[-1].subject_id):
        assert here.verifier.verify(shown, now=0).code == "malformed"
    for digest in (
        raw,
        sha256(raw).digest(),
        sha256(pair.base64.encode()).digest(),
        sha256(pair.pem.encode()).digest(),
    ):
        assert here.store.lookup(digest).state is None
    (row,) = [one for one in everything(here)["secrets"] if "public_key': b" in one]
    assert "'kind': 'public_key'" in row
    stored = here.store.read(lambda tx: tx.key(here.audit()[-1].subject_id))
    assert stored is not None
    assert here.store.lookup(stored.secrets[0].digest).state is None


@pytest.mark.parametrize("reason", ["routine", "leaked"])
def test_r42_r20_a_reset_takes_a_new_public_key_and_hands_over_with_dates(here: World, reason: str) -> None:
    old, new = Pair(), Pair()
    made = here.key(bring=old.public_key)
    minted = sure(here.ask(here.root, made.key, reason, grace=HOUR, bring=new.public_key))
    assert (minted.secret, minted.has_minted, minted.reset.stage) == (None, True, Stage.MINTED)
    goes_on = "valid" if reason == "routine" else "replaced"
    assert [signed_code(here, one, made.key) for one in (old, new)] == [goes_on, "valid"]
    here.clock.advance(HOUR)
    assert [signed_code(here, one, made.key) for one in (old, new)] == ["replaced", "valid"]
    assert [signed_code(here, one, made.key, cold=True) for one in (old, new)] == ["replaced", "valid"]


def test_r42_r22_without_the_next_public_key_a_leaked_one_is_stopped_and_the_reset_waits(here: World) -> None:
    old, new = Pair(), Pair()
    made = here.key(bring=old.public_key)
    asked = sure(here.ask(here.root, made.key, "leaked"))
    assert (asked.reset.stage, asked.has_minted) == (Stage.PROVEN, False)
    assert signed_code(here, old, made.key) == "replaced"
    for bring, told in ((None, "invalid_field"), (Pair().public_key, "done")):
        assert kind(here.mint(here.root, asked.reset.id, bring=bring)) == told
    later = sure(here.ask(here.root, made.key, bring=new.public_key))
    assert (later.reset.stage, signed_code(here, new, made.key)) == (Stage.MINTED, "valid")


def test_r42_a_public_key_seen_before_is_refused_whosever_it_is(here: World) -> None:
    pair = Pair()
    made = here.key(bring=pair.public_key)
    sure(here.on_key("revoke", here.root, made.key.id))
    other = here.account()
    here.user(other)
    before = len(here.audit())
    assert kind(here.try_key(here.root, bring=pair.public_key)) == "public_key_used"
    assert kind(here.try_key(here.root, bring=pair.public_key, account_id=other.id)) == "public_key_used"
    live = here.key(bring=Pair().public_key)
    assert kind(here.ask(here.root, live.key, bring=pair.public_key)) == "public_key_used"
    assert kind(here.ask(here.root, live.key, bring=PublicKey(live.key.secrets[-1].public_key))) == "public_key_used"
    assert len(here.audit()) == before + 5
    waiting = sure(here.ask(here.root, live.key))
    assert kind(here.mint(here.root, waiting.reset.id, bring=pair.public_key)) == "public_key_used"
    assert kind(here.mint(here.root, waiting.reset.id, bring=Pair().public_key)) == "done"


def test_r42_secrets_of_a_key_stay_of_their_kind(here: World, allowing: dict[str, Any]) -> None:
    plain, signing = here.key(), here.key(bring=Pair().public_key)
    own = here.key(bring=MINE, label="bot", **allowing)
    assert kind(here.ask(here.root, plain.key, bring=Pair().public_key)) == "invalid_field"
    assert kind(here.ask(here.root, plain.key, bring=NEXT)) == "invalid_field"
    assert kind(here.ask(here.root, own.key, bring=Pair().public_key)) == "invalid_field"
    assert kind(here.ask(here.root, signing.key, bring=NEXT)) == "invalid_field"
    waiting = sure(here.ask(here.root, own.key))
    assert kind(here.mint(here.root, waiting.reset.id, bring=Pair().public_key)) == "invalid_field"
    assert kind(here.mint(here.root, waiting.reset.id, bring=NEXT)) == "done"
    assert here.get(plain.key.id).version == here.get(signing.key.id).version == 1


def test_r42_r11_a_person_brings_it_when_the_proofs_are_complete(here: World) -> None:
    account = here.account(policy=here.policy(proofs=["password"]))
    owner = here.user(account)
    person = here.sign_in(owner)
    made = here.key(person, bring=Pair().public_key, permissions=())
    new = Pair()
    assert kind(here.ask(person, made.key, bring=new.public_key)) == "invalid_field"
    asked = sure(here.ask(person, made.key))
    assert kind(here.mint(person, asked.reset.id, bring=new.public_key)) == "reset_out_of_order"
    sure(here.prove(person, asked.reset.id))
    assert kind(here.mint(here.sign_in(owner), asked.reset.id, bring=new.public_key)) == "not_the_asker"
    sure(here.mint(person, asked.reset.id, bring=new.public_key))
    assert signed_code(here, new, made.key) == "valid"


# Own secrets


def test_r42_an_own_secret_costs_one_argon2id_and_then_what_any_other_costs(
    here: World, allowing: dict[str, Any]
) -> None:
    made = here.key(bring=MINE, label="bot", permissions=("orders:read",), **allowing)
    assert (made.secret, made.key.kind, made.key.brand) == (None, SecretKind.OWN, "kt_own_bot")
    assert made.key.secrets[0].hint == "kt_own_bot_…"
    before = here.stretcher.stretched
    presented = f"kt_own_bot_{MINE}"
    assert here.code(presented, "orders:read") == "valid"
    assert here.stretcher.stretched == before + 1
    assert here.code(presented, "orders:write") == "permission_missing"
    assert here.verifier.verify_fingerprint(sha256(presented.encode()).digest(), now=to_micros(here.clock())).valid
    sure(here.on_key("suspend", here.root, made.key.id, reason="odd"))
    assert here.code(presented) == "suspended"
    assert here.stretcher.stretched == before + 1


def test_r42_only_a_known_label_costs_an_argon2id(here: World, allowing: dict[str, Any]) -> None:
    here.key(bring=MINE, label="bot", **allowing)
    here.key(label="made")
    before = here.stretcher.stretched
    for presented in (f"kt_own_nobody_{MINE}", f"kt_own_made_{MINE}", f"kt_own_BOT_{MINE}", MINE, "kt_own_bot_short"):
        assert here.code(presented) in ("unknown", "malformed")
    assert here.stretcher.stretched == before
    assert here.code(f"kt_own_bot_{NEXT}") == "unknown"
    assert here.code(f"xx_own_bot_{MINE}") == "unknown"  # not the text that it was made as
    assert here.stretcher.stretched == before + 2


def test_r42_failures_are_limited_per_label_and_what_is_warm_goes_on(here: World, allowing: dict[str, Any]) -> None:
    here.key(bring=MINE, label="bot", **allowing)
    here.key(bring=NEXT, label="other", **allowing)
    assert here.code(f"kt_own_bot_{MINE}") == "valid"
    before = here.stretcher.stretched
    codes = [wrong(here, f"kt_own_bot_{MINE}{at}") for at in range(FAILURES.requests + 5)]
    assert codes == ["unknown"] * FAILURES.requests + ["too many"] * 5
    assert here.stretcher.stretched == before + FAILURES.requests
    assert here.code(f"kt_own_bot_{MINE}") == "valid"
    assert here.code(f"kt_own_other_{NEXT}") == "valid"
    here.clock.advance(FAILURES.window / FAILURES.requests)
    assert [wrong(here, f"kt_own_bot_{MINE}-{at}") for at in range(2)] == ["unknown", "too many"]


def wrong(here: World, presented: str) -> str:
    try:
        return here.code(presented)
    except TooManyFailures as failures:
        return "too many" if 0 < failures.wait <= FAILURES.window_micros else "too long"


def test_r42_who_is_right_is_not_counted_however_often_it_is_cold(here: World, allowing: dict[str, Any]) -> None:
    here.key(bring=MINE, label="bot", **allowing)
    now = to_micros(here.clock())
    presented = sha256(f"kt_own_bot_{MINE}".encode()).digest()
    for _ in range(3 * FAILURES.requests):
        assert here.own_secrets.lookup("bot", now=now)(presented).state is not None


def test_r42_a_crowd_that_comes_at_once_costs_one_argon2id(here: World, allowing: dict[str, Any]) -> None:
    here.key(bring=MINE, label="bot", **allowing)
    now = to_micros(here.clock())
    presented = sha256(f"kt_own_bot_{MINE}".encode()).digest()
    before = here.stretcher.stretched
    first, rest, reckoning = threading.Event(), threading.Event(), here.stretcher.stretch

    def slow(secret: bytes, salt: bytes) -> bytes:
        first.set()
        assert rest.wait(30)
        return reckoning(secret, salt)

    here.stretcher.stretch = slow  # type: ignore[method-assign]  # the real one, once all the others are there
    found: list[bool] = []
    ask = here.own_secrets.lookup
    threads = [
        threading.Thread(target=lambda: found.append(ask("bot", now=now)(presented).state is not None))
        for _ in range(3 * FAILURES.requests)
    ]
    threads[0].start()
    assert first.wait(30)
    for thread in threads[1:]:
        thread.start()
    rest.set()
    for thread in threads:
        thread.join()
    assert found == [True] * len(threads)
    # Late ones may have begun anew once it was done; nobody was counted as a failure.
    assert here.stretcher.stretched - before < len(threads)


def test_r42_pitfall_11_weak_and_taken_are_answered_alike_with_the_same_work(
    here: World, allowing: dict[str, Any]
) -> None:
    here.key(bring=MINE, label="bot", **allowing)
    other = here.account(policy=here.policy(own_secret="allowed"))
    here.user(other)
    statements: list[str] = []
    event.listen(here.store._engine, "before_cursor_execute", lambda *words: statements.append(words[2]))

    def bring(secret: str, label: str) -> tuple[Any, ...]:
        statements.clear()
        work = (here.stretcher.stretched, here.stretcher.estimated)
        answer = here.try_key(here.root, bring=secret, label=label, account_id=other.id)
        done = (here.stretcher.stretched - work[0], here.stretcher.estimated - work[1])
        return answer, done, tuple(statements), here.audit()[-1].outcome

    taken, weak = bring(MINE, "abc"), bring(WEAK, "abc")
    assert taken == weak
    assert (taken[0], taken[1], taken[3]) == (OwnSecretRefused(), (2, 1), "own_secret_refused")
    assert bring("x1-Y" * 8, "abc")[0] == bring(MINE[:31], "abc")[0] == bring(MINE * 5, "abc")[0] == taken[0]
    assert kind(bring(NEXT, "abc")[0]) == "done"


def test_r42_an_own_secret_seen_before_is_refused_whosever_it_was(here: World, allowing: dict[str, Any]) -> None:
    made = here.key(bring=MINE, label="bot", **allowing)
    sure(here.ask(here.root, made.key, bring=NEXT))
    sure(here.on_key("revoke", here.root, made.key.id))
    own = here.key(bring=THIRD, label="next", **allowing)
    for used in (MINE, NEXT, THIRD):
        assert kind(here.try_key(here.root, bring=used, label="more", **allowing)) == "own_secret_refused"
        assert kind(here.ask(here.root, own.key, bring=used)) == "own_secret_refused"
    waiting = sure(here.ask(here.root, own.key))
    assert kind(here.mint(here.root, waiting.reset.id, bring=THIRD)) == "own_secret_refused"
    made_here = unseen(here.key())
    assert is_well_formed(made_here)
    assert kind(here.try_key(here.root, bring=made_here, label="more", **allowing)) == "own_secret_refused"


def test_r42_labels_of_own_secrets_are_unique_in_the_deployment_for_good(here: World, allowing: dict[str, Any]) -> None:
    made = here.key(bring=MINE, label="bot", **allowing)
    sure(here.on_key("revoke", here.root, made.key.id))
    assert kind(here.try_key(here.root, bring=NEXT, label="bot", **allowing)) == "name_taken"
    assert kind(here.try_key(here.root, bring=NEXT, label="two_words", **allowing)) == "invalid_field"
    assert kind(here.try_key(here.root, bring=NEXT, label="", **allowing)) == "invalid_field"
    sure(here.try_key(here.root, label="bot", **allowing))  # of secrets that are made here it is only a word


def test_r42_r31_a_policy_that_forbids_own_secrets_is_named_and_nothing_is_reckoned(
    here: World, allowing: dict[str, Any]
) -> None:
    strict = here.policy()
    account = here.account(policy=strict)
    here.user(account)
    refused = here.try_key(here.root, bring=MINE, label="bot", account_id=account.id)
    assert refused == OwnSecretForbidden(policy=strict)
    assert refused.field == "own_secret"
    machine = here.as_key(here.key(permissions=("keyturn.keys:read",), **allowing).key)
    assert kind(here.try_key(machine, bring=MINE, label="bot", permissions=())) == "permission_missing"
    assert here.stretcher.stretched == here.stretcher.estimated == 0
    floor = here.policy()
    made = here.key(bring=MINE, label="bot", **allowing)
    reckoned = here.stretcher.stretched
    edit = AccountEdit(floor=floor)
    account_id = allowing["account_id"]
    sure(here.store.change(lambda tx: accounts.edit(tx, actor=here.root, account_id=account_id, edit=edit)))
    assert here.ask(here.root, made.key, bring=NEXT) == OwnSecretForbidden(policy=floor)
    assert here.stretcher.stretched == reckoned
    waiting = sure(here.ask(here.root, made.key))
    assert here.mint(here.root, waiting.reset.id, bring=NEXT) == OwnSecretForbidden(policy=floor)
    assert here.code(f"kt_own_bot_{MINE}") == "valid"


def test_r42_r20_an_own_secret_is_handed_over_with_dates(here: World, allowing: dict[str, Any]) -> None:
    made = here.key(bring=MINE, label="bot", **allowing)
    old, new = f"kt_own_bot_{MINE}", f"kt_own_bot_{NEXT}"
    assert here.code(old) == "valid"
    minted = sure(here.ask(here.root, made.key, grace=HOUR, bring=NEXT))
    assert (minted.secret, minted.secret_shown, minted.has_minted) == (None, False, True)
    assert [here.code(old), here.code(new)] == ["valid", "valid"]
    here.clock.advance(HOUR)
    assert [here.code(old), here.code(new)] == ["replaced", "valid"]
    fresh = here.own_secrets.lookup("bot", now=to_micros(here.clock()))
    assert fresh(sha256(old.encode()).digest()).version == 1


def test_r42_r40_a_key_that_resets_itself_brings_the_next_one_when_it_is_minted(here: World) -> None:
    account = here.account(policy=here.policy(own_secret="allowed", self_reset="allowed"))
    here.user(account)
    made = here.key(bring=MINE, label="self", account_id=account.id)
    itself = here.as_key(made.key)
    asked = sure(here.ask(itself, made.key))
    assert (asked.reset.stage, here.code(f"kt_own_self_{MINE}")) == (Stage.PROVEN, "valid")
    sure(here.mint(itself, asked.reset.id, bring=NEXT))
    assert [here.code(f"kt_own_self_{one}") for one in (MINE, NEXT)] == ["replaced", "valid"]


def test_r42_r15_a_retry_with_another_own_secret_is_another_request(here: World, allowing: dict[str, Any]) -> None:
    once = Once(caller=here.root.id, idempotency_key="x", request=b"r" * 32)
    words: dict[str, Any] = {"label": "bot", **allowing}
    first = sure(here.try_key(here.root, once, MINE, **words))
    again = sure(here.try_key(here.root, once, MINE, **words))
    assert (again.key.id, again.secret_shown) == (first.key.id, False)
    assert kind(here.try_key(here.root, once, NEXT, **words)) == "idempotency_key_reused"
    reset = Once(caller=here.root.id, idempotency_key="y", request=b"r" * 32)
    minted = sure(here.ask(here.root, first.key, once=reset, bring=NEXT))
    again_reset = sure(here.ask(here.root, first.key, once=reset, bring=NEXT))
    assert (again_reset.reset.id, again_reset.has_minted) == (minted.reset.id, False)
    assert kind(here.ask(here.root, first.key, once=reset, bring=THIRD)) == "idempotency_key_reused"
    assert here.get(first.key.id).version == 2


def test_r42_r14_two_who_bring_the_same_at_once_are_not_both_served(here: World, allowing: dict[str, Any]) -> None:
    for round_ in range(3):
        secret = f"{MINE}{round_}"
        answers = together(
            lambda label, secret=secret: here.try_key(here.root, bring=secret, label=label, **allowing),
            [f"l{round_}a", f"l{round_}b", f"l{round_}c"],
        )
        assert sorted(kind(one) for one in answers) == ["done", "own_secret_refused", "own_secret_refused"]
        answers = together(
            lambda secret, label=f"one{round_}": here.try_key(here.root, bring=secret, label=label, **allowing),
            [f"{NEXT}{round_}{at}" for at in range(3)],
        )
        assert sorted(kind(one) for one in answers) == ["done", "name_taken", "name_taken"]


def together(work: Any, inputs: list[str]) -> list[Any]:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda one=one: answers.append(work(one))) for one in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_r42_pitfall_10_of_an_own_secret_nothing_lies_anywhere_that_is_quick_to_try(
    here: World, allowing: dict[str, Any]
) -> None:
    made = here.key(bring=MINE, label="bot", **allowing)
    sure(here.ask(here.root, made.key, grace=HOUR, bring=NEXT))
    here.code(f"kt_own_bot_{MINE}")
    here.housekeeper.tick()
    rows = "\n".join(row for table in everything(here).values() for row in table)
    deployment = here.operator.id
    for secret in (MINE, NEXT):
        presented = sha256(f"kt_own_bot_{secret}".encode()).digest()
        bare = sha256(secret.encode()).digest()
        stretched = here.stretcher.stretch(presented, salt(deployment, "bot"))
        again = here.stretcher.stretch(bare, seen_salt(deployment))
        for shown in (secret, secret[-4:], *(f(one) for one in (presented, bare, stretched, again) for f in FORMS)):
            assert shown not in rows
    reckoned = here.own_secrets.for_reset(SecretText(THIRD), actor=here.root, key_id=made.key.id)
    assert isinstance(reckoned, Brought)
    assert THIRD not in repr(reckoned)
    assert THIRD not in repr(SecretText(THIRD))


FORMS = (lambda digest: digest.hex(), lambda digest: repr(digest)[2:-1])


# The Argon2id itself


def test_r42_what_was_made_to_be_slow_is_judged_by_its_beginning() -> None:
    slow = "4@8({[</369&#!1/|0$5+7%2/" * 6
    assert what_is_judged(slow) == slow[:16]
    assert what_is_judged("x" * 200) == "x" * JUDGED
    assert what_is_judged(MINE) == MINE
    assert Argon2Stretcher().estimate(slow, known=())[1] < LEAST_BITS


def test_r42_the_stretcher_is_argon2id_and_turns_away_what_would_wait_too_long() -> None:
    from argon2.low_level import Type, hash_secret_raw  # noqa: PLC0415  # the oracle

    stretcher = Argon2Stretcher(time_cost=1, memory_cost=64)
    expected = hash_secret_raw(b"s" * 32, b"t" * 16, 1, 64, 4, 32, Type.ID)
    assert stretcher.stretch(b"s" * 32, b"t" * 16) == expected
    stretcher._under_way = MOST_AT_ONCE + MOST_WAITING
    with pytest.raises(StoreBusy):
        stretcher.stretch(b"s" * 32, b"t" * 16)
    stretcher._under_way = 0
    assert stretcher.stretch(b"s" * 32, b"t" * 16) == expected
    assert stretcher.estimate("", known=()) == (0, 0.0)
    assert stretcher.estimate(WEAK, known=())[0] < 4
    known = stretcher.estimate("Quixotic-ferry" * 2, known=("quixotic-ferry",))
    assert known[1] < stretcher.estimate("Quixotic-ferry" * 2, known=())[1]
