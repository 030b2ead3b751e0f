"""Roles, names and invitations, decided without any store."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from keyturn.core.account import RIGHTS, STAFF_RIGHTS, Role, parse_username
from keyturn.core.actor import Actor, Channel, stranger
from keyturn.core.instant import Instant
from keyturn.core.invitation import Invitation, check_open, is_open
from keyturn.core.permission import (
    RIGHT_ACCOUNTS_READ,
    RIGHT_AUDIT_READ,
    RIGHT_KEYS_READ,
    RIGHT_KEYS_RESET,
    RIGHT_KEYS_WRITE,
    RIGHT_STAFF_SECURE,
    RIGHT_STAFF_STOP,
    parse,
)
from keyturn.core.refusal import LinkSpent

T0 = Instant(datetime.fromisoformat("2030-01-01T00:00:00+00:00"))
OPERATOR, CUSTOMER = "acc_operator", "acc_customer"
READ = (RIGHT_KEYS_READ, RIGHT_ACCOUNTS_READ, RIGHT_AUDIT_READ)


def of(role: Role, account_id: str = OPERATOR) -> Actor:
    staff = STAFF_RIGHTS.get(role, ()) if account_id == OPERATOR else ()
    return Actor(
        id="usr_1",
        channel=Channel.PERSON,
        account_id=account_id,
        user_id="usr_1",
        permissions=(*RIGHTS[role], *staff),
        in_deployment_account=account_id == OPERATOR,
        session="ses_1",
    )


STORIES = {  # role in the operator's account: reads, stops, secures a customer's; stops the operator's own
    Role.OWNER: (True, True, True, True),
    Role.ADMIN: (True, True, True, True),
    Role.SECURITY: (True, True, True, False),
    Role.SUPPORT: (True, True, False, False),
    Role.AUDITOR: (True, False, False, True),
    Role.MEMBER: (False, False, False, True),
}


@pytest.mark.parametrize("role", Role)
def test_r40_what_a_role_of_the_operator_does_for_customers(role: Role) -> None:
    actor = of(role)
    reads, stops, secures, stops_own = STORIES[role]
    assert [actor.may(right, CUSTOMER) for right in READ] == [reads, actor.may(RIGHT_ACCOUNTS_READ, CUSTOMER), reads]
    assert (actor.may(RIGHT_STAFF_STOP, CUSTOMER), actor.may_stop(CUSTOMER)) == (stops, stops)
    assert actor.may(RIGHT_STAFF_SECURE, CUSTOMER) == secures
    assert actor.may_stop(OPERATOR) == stops_own
    assert not actor.may(RIGHT_STAFF_STOP, OPERATOR)
    assert not any(actor.may(right, CUSTOMER) for right in (RIGHT_KEYS_WRITE, RIGHT_KEYS_RESET))
    assert actor.towards(OPERATOR) is actor
    assert actor.towards(CUSTOMER).channel is (Channel.SUPPORT if reads else Channel.PERSON)


@pytest.mark.parametrize("role", [one for one in Role if one in STAFF_RIGHTS])
def test_the_same_role_elsewhere_reaches_its_own_account_only(role: Role) -> None:
    actor = of(role, "acc_other")
    assert not any(actor.may(right, CUSTOMER) for right in (*READ, RIGHT_STAFF_STOP, RIGHT_STAFF_SECURE))
    assert not actor.may_stop(CUSTOMER)
    assert actor.towards(CUSTOMER) is actor
    smuggled = replace(actor, permissions=(*actor.permissions, *STAFF_RIGHTS[role]))
    assert not any(smuggled.may(right, CUSTOMER) for right in (*READ, RIGHT_STAFF_STOP, RIGHT_STAFF_SECURE))


def test_rights_of_staff_are_the_roles_and_no_key_s() -> None:
    for right in {right for rights in STAFF_RIGHTS.values() for right in rights}:
        with pytest.raises(ValueError, match="not a permission"):
            parse(right)


def test_a_stranger_may_nothing() -> None:
    nobody = stranger("192.0.2.1")
    assert (nobody.address, nobody.permissions, nobody.session) == ("192.0.2.1", (), "")
    assert not any(nobody.may(right, account) for right in READ for account in ("", CUSTOMER))


@pytest.mark.parametrize("text", ["ann", "Trader.One", " a-b_c ", "0x0", "a" * 32])
def test_a_user_name_has_one_form(text: str) -> None:
    assert parse_username(text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", "ab", ".ann", "a@b", "anna anna", "\u0430nna", "a" * 33, "a\nb"])
def test_a_user_name_can_be_mistaken_for_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match="3 to 32"):
        parse_username(text)


def test_an_invitation_is_open_until_it_is_accepted_withdrawn_or_late() -> None:
    made = Invitation(
        id="inv_1",
        account_id=CUSTOMER,
        email="a@example.com",
        role=Role.MEMBER,
        invited_by="usr_1",
        made_at=T0,
        ends_at=Instant(T0 + timedelta(days=7)),
    )
    assert is_open(made, T0)
    assert check_open(made, T0) is None
    late = Instant(T0 + timedelta(days=7))
    assert check_open(made, late) == check_open(replace(made, ended_at=T0), T0) == check_open(None, T0) == LinkSpent()


def test_a_right_that_names_an_account_reaches_that_one() -> None:
    named = replace(of(Role.MEMBER, "acc_other"), permissions=(f"{RIGHT_KEYS_READ}@{CUSTOMER}",))
    assert named.may(RIGHT_KEYS_READ, CUSTOMER)
    assert named.may_stop(CUSTOMER)
    assert not named.may(RIGHT_KEYS_RESET, CUSTOMER)
    assert not named.may(RIGHT_KEYS_READ, "acc_third")


def test_only_who_signed_in_themselves_is_signed_in() -> None:
    actor = of(Role.OWNER)
    assert actor.signed_in
    others = ({"session": ""}, {"through": "key_1"}, {"channel": Channel.MACHINE})
    assert not any(replace(actor, **changes).signed_in for changes in others)
