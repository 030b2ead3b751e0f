"""Portals: addresses, what may be vouched for, when a link opens, and what its word is worth."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keyturn.core import portal as portals
from keyturn.core import reset as protocol
from keyturn.core.account import Role
from keyturn.core.actor import Actor, Channel
from keyturn.core.audit import record
from keyturn.core.instant import FOREVER, Instant, to_text
from keyturn.core.key import Key, Secret, StopReason, Suspension
from keyturn.core.permission import is_right
from keyturn.core.policy import Effective, Policy
from keyturn.core.portal import CLOCKS_DIFFER, LONGEST, OPENS_WITHIN, Portal
from keyturn.core.proof import Proof, vouched
from keyturn.core.refusal import InvalidField, LinkSpent, NotFound
from keyturn.core.reset import Asking, Reason, Step
from keyturn.core.session import SessionKind, Visitor
from keyturn.core.stage import Event, Stage

T0 = Instant(datetime(2030, 1, 1, tzinfo=UTC))
MINUTE = timedelta(minutes=1)
OPERATOR = "key_operator"
HERE = "https://app.example.com"


def after(span: timedelta) -> Instant:
    return Instant(T0 + span)


def portal(**changes: object) -> Portal:
    made = Portal(
        id="prt_1",
        account_id="acc_1",
        user_id="usr_1",
        by=OPERATOR,
        by_version=1,
        made_at=T0,
        ends_at=after(OPENS_WITHIN),
        vouched={"password": to_text(T0)},
        embed_origin=HERE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # its own fields


def key(key_id: str = OPERATOR, **changes: object) -> Key:
    first = Secret(version=1, digest=b"", pepper="p", hint="kt", created_at=T0, starts_at=T0, dangerous_starts_at=T0)
    made = Key(
        number=1,
        id=key_id,
        account_id="acc_1",
        owner_id="usr_1",
        name="",
        environment="live",
        brand="kt",
        permissions=(),
        allowlist=(),
        limit=None,
        policy="",
        expires_at=FOREVER,
        created_at=T0,
        created_by="",
        secrets=(first,),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # as above


def with_stop(reason: StopReason) -> Key:
    plain = key()
    return plain.with_secret(replace(plain.secrets[0], stops_at=T0, stopped_at=T0, stop_reason=reason))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.com:443", "https://app.example.com"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://localhost:8788", "http://localhost:8788"),
        ("http://shop.localhost", "http://shop.localhost"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://[::1]:9", "https://[::1]:9"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(text: str, origin: str) -> None:
    assert portals.read_origin(text) == origin
    assert portals.origin_of(f"{text}/keys?a=1#b") == origin
    with pytest.raises(ValueError, match="without a path"):
        portals.read_origin(f"{text}/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.example.com",
        "https://",
        "https://*.example.com",
        "https://user@app.example.com",
        "https://app.example.com.",
        "https://app.example.com:0",
        "https://app.example.com:65536",
        "https://app.example.com; script-src *",
        "https://app.example.com/, *",
        "https://app.example.com/'x",
        "https://app.example.com\r\nset-cookie: a=b",
        "https://app.exämple.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example.com/" + "x" * portals.LONGEST_ADDRESS,
    ],
)
def test_what_could_say_more_to_a_browser_than_one_address_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="an address such as"):
        portals.origin_of(text)


def test_k11_plain_http_is_for_this_machine_alone() -> None:
    with pytest.raises(ValueError, match="use https"):
        portals.read_origin("http://app.example.com")


def test_nothing_is_vouched_for_twice_in_the_future_or_of_another_kind() -> None:
    said = [("password", after(-MINUTE)), ("captcha", after(CLOCKS_DIFFER))]
    assert portals.read_vouched(said, now=T0) == {"password": to_text(after(-MINUTE)), "captcha": to_text(T0)}
    for wrong, reason in [
        ([("password", after(CLOCKS_DIFFER + timedelta(microseconds=1)))], "lies in the future"),
        ([("password", T0), ("password", T0)], "password is there twice"),
        ([("recovery_code", T0)], "nobody can vouch for 'recovery_code'"),
        ([("administrator", T0)], "nobody can vouch for 'administrator'"),
    ]:
        assert portals.read_vouched(wrong, now=T0) == InvalidField(field="proofs", reason=reason)


def test_what_was_vouched_for_becomes_proofs_by_the_credential_and_none_of_the_future() -> None:
    said = {
        "password": to_text(after(-MINUTE)),
        "captcha": to_text(after(MINUTE)),
        "totp": "yesterday",
        "administrator": to_text(T0),
    }
    assert vouched(said, by=OPERATOR, session="ses_1", now=T0) == (
        Proof(kind="password", by=OPERATOR, at=after(-MINUTE), session="ses_1"),
        Proof(kind="captcha", by=OPERATOR, at=T0, session="ses_1"),
    )


def test_r51_a_link_opens_once_and_in_time() -> None:
    def answer(found: Portal | None, *, framed_by: str = "", now: Instant = T0) -> object:
        return portals.may_open(found, key(), framed_by=framed_by, now=now)

    assert answer(portal()) is None
    assert answer(portal(), framed_by=HERE) is None
    assert answer(portal(), now=after(OPENS_WITHIN - timedelta(microseconds=1))) is None
    assert answer(portal(), now=after(OPENS_WITHIN)) == LinkSpent()
    assert answer(portal(opened_at=T0, session="ses_1")) == LinkSpent()
    assert answer(None) == NotFound()
    assert answer(portal(), framed_by="https://evil.example.com") == NotFound()
    assert answer(portal(embed_origin=""), framed_by=HERE) == NotFound()


@pytest.mark.parametrize(
    ("credential", "stands"),
    [
        (key(), True),
        (None, False),
        (key(suspension=Suspension(at=T0, by="", reason="")), False),
        (key(revoked_at=T0), False),
        (key(expires_at=T0), False),
        (with_stop(StopReason.REPLACED), True),
        (with_stop(StopReason.LEAKED), False),
        (key(secrets=(replace(key().secrets[0], version=2),)), False),
    ],
)
def test_r25_what_rests_on_a_credential_s_word_falls_with_it(credential: Key | None, *, stands: bool) -> None:
    assert portals.still_vouched(portal(), credential, now=T0) is stands
    opens = portals.may_open(portal(), credential, framed_by="", now=T0)
    assert opens == (None if stands else LinkSpent())


def test_what_it_becomes_is_short_and_its_own_kind() -> None:
    here = Visitor(address="192.0.2.1", user_agent="Browser\u202e/1")
    made, session = portals.opened(portal(), "ses_1", role=Role.OWNER, visitor=here, idle=timedelta(minutes=20), now=T0)
    assert (made.opened_at, made.session) == (T0, "ses_1")
    assert (session.kind, session.how, session.vouched) == (SessionKind.PORTAL, ("portal",), made.vouched)
    assert (session.ends_at, session.idle_ends_at) == (after(LONGEST), after(timedelta(minutes=20)))
    assert (session.address, session.user_agent) == ("192.0.2.1", "Browser /1")
    _, longer = portals.opened(portal(), "ses_1", role=Role.OWNER, visitor=here, idle=timedelta(days=1), now=T0)
    assert longer.idle_ends_at == after(LONGEST)


@pytest.mark.parametrize("role", Role)
def test_k12_through_it_nobody_reaches_the_account(role: Role) -> None:
    rights = {one for one in portals.its_rights(role) if is_right(one)}
    assert rights <= {"keyturn.keys:read", "keyturn.keys:write", "keyturn.keys:reset"}
    assert ("keyturn.keys:reset" in rights) is (role in {Role.OWNER, Role.ADMIN, Role.MEMBER})


def test_k30_a_record_names_the_credential_that_vouched() -> None:
    person = actor()
    made = record(person, "key.suspended", at=T0, account_id="acc_1", subject_id="key_1", detail={"reason": "x"})
    assert made.detail == {"reason": "x", "through": OPERATOR}
    alone = record(replace(person, through=""), "key.suspended", at=T0, account_id="acc_1", subject_id="key_1")
    assert alone.detail == {}


def actor() -> Actor:
    return Actor(
        id="usr_1",
        channel=Channel.PERSON,
        account_id="acc_1",
        user_id="usr_1",
        permissions=portals.its_rights(Role.OWNER),
        in_deployment_account=False,
        own_keys_only=True,
        session="ses_1",
        through=OPERATOR,
    )


def test_whoever_came_through_a_portal_has_not_signed_in_here() -> None:
    assert replace(actor(), through="").signed_in
    assert not actor().signed_in
    assert not replace(actor(), through="", session="").signed_in
    assert not replace(actor(), through="", channel=Channel.MACHINE).signed_in


def asked(
    reason: Reason = Reason.ROUTINE,
    *,
    waive: bool = False,
    enrolled: frozenset[str] = frozenset(),
    **fields: object,
) -> Step:
    policy = Policy(name="p", **fields)  # type: ignore[arg-type]  # its own fields
    step = protocol.ask(
        key("key_1"),
        Asking(reason=reason, waive_cool_down=waive),
        actor=actor(),
        effective=Effective(policy=policy, sources={}),
        enrolled=enrolled,
        reset_allowlist=(),
        latest=None,
        reset_id="rst_1",
        arrived_rev=0,
        now=T0,
    )
    assert isinstance(step, Step)
    return step


def said(*kinds: str, ago: timedelta = timedelta(0)) -> tuple[Proof, ...]:
    return tuple(Proof(kind=kind, by=OPERATOR, at=after(-ago), session="ses_1") for kind in kinds)


def test_r11_what_is_vouched_for_counts_and_the_rest_is_asked_of_the_person() -> None:
    step = protocol.vouch(asked(), said("password", "totp"), now=T0)
    assert [one.kind for one in step.reset.proofs] == ["password"]  # nobody had asked for the other
    assert step.event is None
    assert step.reset.missing(T0) == ("captcha", "email_link")
    whole = protocol.vouch(asked(), said("captcha", "password"), now=T0)
    assert (whole.event, whole.reset.stage) == (Event.PROOF_COMPLETED, Stage.PROVEN)
    assert {one.by for one in whole.reset.proofs} == {OPERATOR}


def test_r20_with_a_leaked_key_a_complete_word_stops_the_old_secret_at_once() -> None:
    step = protocol.vouch(asked(Reason.LEAKED), said("password", "captcha"), now=T0)
    assert step.key.secrets[0].stop_reason is StopReason.LEAKED


def test_r11_a_word_that_is_stale_is_none_and_one_that_grows_stale_counts_no_more() -> None:
    lasts = asked().reset.policy.proof_lasts
    assert protocol.vouch(asked(), said("password", ago=lasts), now=T0).reset.proofs == ()
    nearly = protocol.vouch(asked(), said("password", ago=lasts - MINUTE), now=T0).reset
    assert nearly.missing(T0) == ("captcha", "email_link")
    assert nearly.missing(after(MINUTE)) == ("password+captcha", "password+email_link")


def test_r32_a_policy_forbids_vouching_also_once_the_reset_is_open() -> None:
    assert protocol.vouch(asked(vouching="forbidden"), said("password"), now=T0).reset.proofs == ()
    proven = protocol.vouch(asked(), said("password", "captcha"), now=T0)
    tightened = protocol.tighten(proven.reset, Policy(name="q", vouching="forbidden"), now=T0)
    assert tightened.missing(T0) == ("password+captcha", "password+email_link")
    own = Proof(kind="password", by="usr_1", at=T0, session="ses_1")
    step = protocol.prove(tightened, proven.key, own, now=T0)
    assert isinstance(step, Step)
    assert step.reset.missing(T0) == ("captcha", "email_link")


def test_r24_nobody_vouches_a_cool_down_away() -> None:
    sets = (frozenset({"password"}),)
    both = frozenset({"totp", "passkey"})
    waiving = asked(waive=True, enrolled=both, proofs=sets, cool_down=timedelta(days=1), step_up="none")
    step = protocol.vouch(waiving, said("password", "totp", "passkey"), now=T0)
    assert step.reset.missing(T0) == ("totp", "passkey", "administrator+second_administrator")
