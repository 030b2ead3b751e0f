"""Every way in which a password changes, and what ends with the one before."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from keyturn.core.account import Role, User
from keyturn.core.actor import Actor
from keyturn.core.authenticator import Shown
from keyturn.core.link import LASTS, Link, LinkKind
from keyturn.core.refusal import (
    AuthenticatorRefused,
    LinkSpent,
    NotFound,
    PasswordRefused,
    PasswordUnfit,
    Refusal,
    SecondFactorRequired,
    TooManyRequests,
)
from keyturn.core.session import Spans, Visitor
from keyturn.core.throttle import FREE, Counted
from keyturn.flow import credential
from keyturn.flow import password as flow
from keyturn.flow import session as sessions
from keyturn.flow import sign_in as signing_in
from keyturn.outside.forge import token_digest
from keyturn.ports.page import Page
from keyturn.store.transaction import SqlTransaction
from tests.flow.test_session import with_app
from tests.world import World, sure

HERE = Visitor(address="192.0.2.1")
UNFIT = PasswordUnfit(reason="common", least=15, most=1024)


def sign_in(here: World, user: User, matched: str = "stored") -> sessions.SignedIn:
    return sure(
        here.store.change(
            lambda tx: signing_in.sign_in(
                tx,
                user=user.email,
                matched_password=matched,
                account_id=None,
                visitor=HERE,
                spans=Spans(),
                forge=here.forge,
            )
        )
    )


def whose(here: World, token: str) -> Actor | None:
    return here.store.read(lambda tx: sessions.whose(tx, token_digest(token), address=None))


def change(here: World, actor: Actor, *, matched: str = "stored", new: Any = "new", visitor: Visitor = HERE) -> Any:
    return here.store.change(
        lambda tx: flow.change_own(
            tx, actor=actor, matched_password=matched, new=new, visitor=visitor, forge=here.forge
        )
    )


def ask(here: World, user: str, visitor: Visitor = HERE) -> Refusal | None:
    return here.store.change(lambda tx: flow.ask_forgotten(tx, user=user, visitor=visitor, forge=here.forge))


def mailed(here: World) -> list[str]:
    """The tokens of every letter that would be sent now, oldest first."""

    def links(tx: SqlTransaction) -> list[Link | None]:
        return [tx.link_by_id(one.link_id) for _, one in tx.new_letters(limit=100)]

    found = here.store.read(links)
    return [here.forge.link_token(one.id)[0] for one in found if one is not None and here.clock() < one.ends_at]


def set_anew(here: World, token: str, *, new: Any = "new", second: Shown | None = None) -> Any:
    return here.store.change(
        lambda tx: flow.set_anew(
            tx,
            digest=token_digest(token),
            new=new,
            second=second,
            visitor=HERE,
            forge=here.forge,
            authenticators=here.authenticators,
        )
    )


def stored(here: World, user: User) -> str:
    return here.store.read(lambda tx: tx.password_of(user.id))


def records(here: World, action: str) -> list[str]:
    return [one.outcome for one in here.audit() if one.action == action]


def told(here: World) -> list[tuple[str, str]]:
    return [(one.kind, one.owner_id) for _, one in here.store.read(lambda tx: tx.new_notices(limit=100))]


def test_one_changes_one_s_own_with_the_old_one_and_only_this_session_goes_on(here: World, owner: User) -> None:
    elsewhere, first = sign_in(here, owner), sign_in(here, owner)
    actor = whose(here, first.token)
    assert actor is not None
    assert change(here, actor, matched="") == PasswordRefused()
    assert change(here, actor, matched="other") == PasswordRefused()
    assert change(here, actor, new=UNFIT) == UNFIT
    assert stored(here, owner) == "stored"
    answer = change(here, actor)
    assert stored(here, owner) == "new"
    assert answer.session.id == first.session.id
    assert answer.token != first.token
    assert whose(here, elsewhere.token) is None
    assert whose(here, first.token) is None
    assert not here.store.change(lambda tx: credential.stands(tx, actor))
    assert whose(here, answer.token) is not None
    assert records(here, "user.password_changed") == ["password_refused", "password_refused", "password_unfit", "done"]
    assert ("user.password_changed", owner.id) in told(here)
    user = here.store.read(lambda tx: tx.user(owner.id))
    assert user is not None
    assert user.changed_at == here.clock()
    assert change(here, here.root) == NotFound()  # a key has no password


def test_known_browsers_are_forgotten_but_the_one_that_changed_it(here: World, owner: User) -> None:
    old = sign_in(here, owner).device_token
    actor = here.sign_in(owner)
    new = change(here, actor).device_token
    assert new not in ("", old)

    def is_known(token: str) -> bool:
        return here.store.read(lambda tx: tx.device(token_digest(token))) is not None

    assert (is_known(old), is_known(new)) == (False, True)


def test_k8_guesses_of_the_old_password_meet_delays_in_that_session_alone(here: World, owner: User) -> None:
    actor, other = here.sign_in(owner), here.sign_in(owner)
    for _ in range(FREE[Counted.OWN]):
        assert change(here, actor, matched="other") == PasswordRefused()
    assert change(here, actor) == TooManyRequests(retry_after=2)
    assert change(here, other).session.user_id == owner.id


def test_a_forgotten_password_is_set_anew_by_a_link_once(here: World, owner: User) -> None:
    first = sign_in(here, owner)
    assert ask(here, owner.email) is None
    assert ask(here, owner.email) is None
    (token, second) = mailed(here)
    opened = sure(here.store.read(lambda tx: flow.forgotten(tx, token_digest(token), brand="kt")))
    assert (opened.user.id, opened.enrolled, opened.rules.least) == (owner.id, frozenset(), 15)
    assert whose(here, first.token) is not None  # asking and looking change nothing
    assert set_anew(here, token, new=UNFIT) == UNFIT
    answer = set_anew(here, token)
    assert answer.user.id == owner.id
    assert stored(here, owner) == "new"
    assert whose(here, first.token) is None
    assert here.store.read(lambda tx: tx.device(token_digest(answer.device_token))) is not None
    assert here.store.read(lambda tx: tx.device(token_digest(first.device_token))) is None
    assert set_anew(here, token) == LinkSpent()
    assert set_anew(here, second) == LinkSpent()  # whatever else was mailed has ended with it
    assert set_anew(here, "ktl_none") == NotFound()
    assert records(here, "user.password_changed") == [
        "password_unfit",
        "done",
        "link_spent",
        "link_spent",
        "not_found",
    ]
    assert isinstance(here.store.read(lambda tx: flow.forgotten(tx, token_digest(token), brand="kt")), LinkSpent)


def test_a_link_for_a_new_password_ends(here: World, owner: User) -> None:
    ask(here, owner.email)
    (token,) = mailed(here)
    here.clock.advance(LASTS[LinkKind.PASSWORD])
    assert set_anew(here, token) == LinkSpent()
    assert stored(here, owner) == "stored"


def test_pitfall_21_no_other_link_sets_a_password(here: World, owner: User) -> None:
    def proof(tx: Any) -> str:
        opened = sure(flow.forgotten(tx, token_digest(mailed(here)[0]), brand="kt"))
        token, digest = here.forge.link_token("lnk_other")
        tx.insert_link(replace(opened.link, id="lnk_other", kind=LinkKind.NOT_ME), digest=digest)
        return token

    ask(here, owner.email)
    assert set_anew(here, here.store.change(proof)) == NotFound()


def test_k2_where_a_second_factor_is_enrolled_a_mailed_link_alone_is_not_enough(here: World, owner: User) -> None:
    code = with_app(here, owner)
    ask(here, owner.email)
    (token,) = mailed(here)
    opened = sure(here.store.read(lambda tx: flow.forgotten(tx, token_digest(token), brand="kt")))
    assert (opened.enrolled, opened.rules.least) == (frozenset({"totp", "recovery_code"}), 12)
    assert set_anew(here, token) == SecondFactorRequired(enrolled=("recovery_code", "totp"))
    assert set_anew(here, token, second=Shown(kind="totp", code="12345")) == AuthenticatorRefused()
    assert stored(here, owner) == "stored"
    assert set_anew(here, token, second=Shown(kind="totp", code=code())).user.id == owner.id
    again = [set_anew(here, token, second=Shown(kind="totp", code="12345")) for _ in range(2)]
    assert again == [LinkSpent()] * 2


def test_k8_second_factors_guessed_with_a_stolen_link_are_counted(here: World, owner: User) -> None:
    with_app(here, owner)
    ask(here, owner.email)
    (token,) = mailed(here)
    wrong = Shown(kind="totp", code="12345")
    kinds = [set_anew(here, token, second=wrong).kind for _ in range(FREE[Counted.PAIR] + 1)]
    assert kinds == ["authenticator_refused"] * FREE[Counted.PAIR] + ["too_many_requests"]


def test_pitfall_11_asking_is_the_same_work_and_answer_for_somebody_and_for_nobody(here: World, owner: User) -> None:
    said: list[str] = []
    event.listen(here.store._engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: said.append(statement))

    def asked(user: str, address: str) -> list[str]:
        said.clear()
        assert ask(here, user, Visitor(address=address)) is None
        return list(said)

    assert asked(owner.email, "10.0.1.1") == asked("nobody@example.com", "10.0.2.1")
    assert len(mailed(here)) == 1
    letters = [one for _, one in here.store.read(lambda tx: tx.new_letters(limit=10))]
    assert [one.to for one in letters] == [owner.email, ""]
    assert "nobody@example.com" not in str(here.audit())
    assert records(here, "user.password_forgotten") == ["done", "done"]


def test_k8_nobody_is_flooded_with_mails_and_no_network_asks_without_end(here: World, owner: User) -> None:
    sent = FREE[Counted.LETTERS]
    for n in range(sent + 3):
        assert ask(here, owner.email, Visitor(address=f"10.0.{n}.1")) is None  # it does not tell
    assert len(mailed(here)) == sent
    here.clock.advance(timedelta(hours=1))
    assert ask(here, owner.email) is None
    assert len(mailed(here)) == 1  # the others have ended by now
    for n in range(FREE[Counted.ASKS] - 1):
        assert ask(here, f"nobody{n}@example.com") is None
    assert ask(here, "somebody@example.com") == TooManyRequests(retry_after=2)


def test_a_password_set_by_the_account_ends_what_was(here: World, owner: User) -> None:
    first = sign_in(here, owner)
    answer = here.store.change(
        lambda tx: flow.set_for(tx, actor=here.root, user_id=owner.id, new=UNFIT, forge=here.forge)
    )
    assert answer == UNFIT
    sure(here.store.change(lambda tx: flow.set_for(tx, actor=here.root, user_id=owner.id, new="new", forge=here.forge)))
    assert whose(here, first.token) is None
    assert here.store.read(lambda tx: tx.device(token_digest(first.device_token))) is None
    assert records(here, "user.password_set") == ["password_unfit", "done"]
    assert ("user.password_set", owner.id) in told(here)


def test_what_everybody_knows_of_a_person_is_in_the_rules(here: World, owner: User) -> None:
    here.store.change(lambda tx: tx.save_user(replace(owner, username="joe.trader", name="Joseph Schmidt")))
    rules = here.store.read(lambda tx: flow.rules(tx, user_id=owner.id, brand="acmekeys"))
    assert {"joe.trader", "trader", "schmidt", "acmekeys", "keyturn", "customer"} <= set(rules.words)
    stranger = here.store.read(lambda tx: flow.rules(tx, user_id="", brand="kt", names=("anna@example.com",)))
    assert "anna" in stranger.words
    member = here.user(here.account(), Role.MEMBER)
    assert here.store.read(lambda tx: tx.users(account_ids=None, page=Page(size=1)))[0][1].id == member.id
