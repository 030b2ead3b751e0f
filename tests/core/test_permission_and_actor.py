"""Permissions, rights, and how far a right reaches (K21, pitfalls 7, 8, 18; ADR 6)."""

from dataclasses import replace

import pytest

from keyturn.core import permission
from keyturn.core.actor import Actor, Channel, reader, stranger
from keyturn.core.permission import MOST_PERMISSIONS, RIGHT_ADMIN, RIGHTS


@pytest.mark.parametrize(
    "text", ["orders:read", "*:admin", "orders/eu:write", "a.b-c_d:read", *sorted(RIGHTS), "keyturn.keys:reset@acc_1"]
)
def test_k21_what_may_be_written(text: str) -> None:
    assert permission.parse(text) == text


def test_k21_short_forms() -> None:
    assert permission.parse_set(["read_only", "read_write", "admin", "read_only"]) == ("*:admin", "*:read", "*:write")


@pytest.mark.parametrize(
    "text",
    [
        *["", "orders", "orders:delete", "Orders:read", "or*:read", "**:read", "orders:read ", ":read", "keyturn:read"],
        "keyturn.keys:steal",
        "keyturn.admin@acc_1",
        "keyturn.keys:read@",
        "keyturn.keys:read@usr_1",
        "x" * 65 + ":read",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a permission"):
        permission.parse(text)


def test_a_set_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than"):
        permission.parse_set(f"r{at}:read" for at in range(MOST_PERMISSIONS + 1))


GRANTS = {
    "write includes read": ("orders:write", "orders:read", True),
    "read does not include write": ("orders:read", "orders:write", False),
    "admin includes write": ("orders:admin", "orders:write", True),
    "another resource is another": ("orders:admin", "fills:read", False),
    "a star holds everything": ("*:read", "fills:read", True),
    "a wanted star takes a held one": ("orders:admin", "*:read", False),
    "pitfall 8: a star never matches keyturn's own rights": ("*:admin", "keyturn.keys:read", False),
    "nor the other way round": ("keyturn.admin", "orders:read", False),
    "the administrator holds every right": ("keyturn.admin", "keyturn.audit:read", True),
    "the right to write includes the one to read": ("keyturn.keys:write", "keyturn.keys:read", True),
    "a verifier that holds keys in memory may ask about one": ("keyturn.attach", "keyturn.verify", True),
    "one that only asks may not hold them": ("keyturn.verify", "keyturn.attach", False),
    "pitfall 19: but not the one to reset": ("keyturn.keys:write", "keyturn.keys:reset", False),
    "a right over an account is no right elsewhere": ("keyturn.keys:read@acc_1", "keyturn.keys:read", False),
    "nor over another account": ("keyturn.keys:read@acc_1", "keyturn.keys:read@acc_2", False),
    "it includes what is smaller over the same": ("keyturn.keys:write@acc_1", "keyturn.keys:read@acc_1", True),
}


@pytest.mark.parametrize("story", GRANTS)
def test_what_includes_what(story: str) -> None:
    held, wanted, granted = GRANTS[story]
    assert permission.grants((held,), wanted) is granted
    assert permission.covers((held,), (wanted,)) is granted


def test_pitfall_8_empty_means_nothing() -> None:
    assert not permission.grants((), "orders:read")
    assert permission.covers((), ())


def test_how_dangerous_an_action_is() -> None:
    ranks = [permission.action_rank(one) for one in ("a:read", "a:write", "a:admin", "keyturn.verify")]
    assert ranks == [0, 1, 2, 2]


def _actor(*permissions: str, operator: bool = False) -> Actor:
    return Actor(
        id="key_1",
        channel=Channel.MACHINE,
        account_id="acc_own",
        user_id="usr_1",
        permissions=permissions,
        in_deployment_account=operator,
    )


MAY = {
    "a right reaches the own account": (_actor("keyturn.keys:read"), "keyturn.keys:read", "acc_own", True),
    "pitfall 18: and no other": (_actor("keyturn.keys:read"), "keyturn.keys:read", "acc_2", False),
    "unless it names it": (_actor("keyturn.keys:read@acc_2"), "keyturn.keys:read", "acc_2", True),
    "also in the operator's account": (_actor("keyturn.keys:read", operator=True), "keyturn.keys:read", "acc_2", False),
    "the operator's administrator reaches all": (
        _actor(RIGHT_ADMIN, operator=True),
        "keyturn.keys:reset",
        "acc_2",
        True,
    ),
    "a customer's administrator does not": (_actor(RIGHT_ADMIN), "keyturn.keys:reset", "acc_2", False),
    "a customer's administrator has the own account": (_actor(RIGHT_ADMIN), "keyturn.keys:reset", "acc_own", True),
    "the operator's verifier serves all": (_actor("keyturn.verify", operator=True), "keyturn.verify", "acc_2", True),
    "a customer's does not": (_actor("keyturn.verify"), "keyturn.verify", "acc_2", False),
}


@pytest.mark.parametrize("story", MAY)
def test_how_far_a_right_reaches(story: str) -> None:
    actor, right, account, allowed = MAY[story]
    assert actor.may(right, account) is allowed


def test_pitfall_8_nobody_hands_out_what_they_do_not_hold() -> None:
    assert _actor("orders:write").beyond(("orders:read", "fills:read")) == ("fills:read",)
    assert _actor(RIGHT_ADMIN, operator=True).beyond(("*:admin", "keyturn.keys:read@acc_2")) == ()
    named = ("*:admin", "keyturn.keys:read@acc_2", "keyturn.keys:read@acc_own")
    assert _actor(RIGHT_ADMIN).beyond(named) == ("keyturn.keys:read@acc_2",)
    assert _actor("orders:read").rights_beyond(("fills:read", "keyturn.verify")) == ("keyturn.verify",)


def test_pitfall_8_a_member_hands_out_no_right() -> None:
    """A key with a right would see keys that its maker does not."""
    member = replace(_actor("*:write", "keyturn.keys:write"), own_keys_only=True)
    assert member.beyond(("orders:write", "orders:admin", "keyturn.keys:write")) == (
        "orders:admin",
        "keyturn.keys:write",
    )


def test_pitfall_7_a_stranger_may_do_nothing() -> None:
    nobody = stranger("192.0.2.1")
    assert not any(nobody.may(right, account) for right in (*RIGHTS, "orders:read") for account in ("", "acc_own"))
    assert nobody.beyond(("orders:read",)) == ("orders:read",)
    assert (nobody.address, nobody.session, nobody.user_id) == ("192.0.2.1", "", "")


def test_r50_nor_may_whoever_a_link_was_mailed_to() -> None:
    one = reader("usr_1", None, account_id="acc_own")
    assert (one.id, one.user_id, one.account_id, one.signed_in) == ("usr_1", "usr_1", "acc_own", False)
    assert not any(one.may(right, "acc_own") for right in RIGHTS)
