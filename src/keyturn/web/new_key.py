"""Creating a key: the form, and its first secret, shown once."""

from typing import Final

from starlette.responses import Response

from keyturn.core.policy import Effective
from keyturn.edge.refused import Refused
from keyturn.flow import new_key as new_keys
from keyturn.flow import policy as policies
from keyturn.flow.bring import Bring
from keyturn.ports.transaction import Transaction
from keyturn.web.asked import SignedIn
from keyturn.web.key_form import KeyForm, empty, read_wish
from keyturn.web.route import Place, posted_by_members, shown_to_members


def form(asked: SignedIn) -> Response:
    """What a new key is to be."""
    return _form(asked, empty())


def _form(asked: SignedIn, typed: KeyForm, *, problem: str = "", status: int = 200) -> Response:
    in_force, _ = asked.call.read(lambda tx: _policy(tx, asked))
    return asked.show(
        "key_new.html",
        tab="keys",
        form=typed,
        problem=problem,
        policy=in_force.policy,
        once=asked.visit.node.forge.id("one"),
        status=status,
    )


def _policy(tx: Transaction, asked: SignedIn) -> Effective:
    account = tx.account(asked.actor.account_id)
    assert account is not None  # noqa: S101  # the session names it
    return policies.effective(tx, account, "")


def create(asked: SignedIn) -> Response:
    """Issue it; the secret is on this page and nowhere else, ever."""
    asked.call.needs_https("key.created", asked.actor.account_id)
    node, call = asked.visit.node, asked.call
    new = read_wish(asked.form, asked.browser, now=asked.now)
    if isinstance(new, KeyForm):
        return _form(asked, new, status=422)
    wish, brand = new.wish, node.settings.brand
    bring: Bring | None = new.public_key
    if new.own_secret is not None:
        bring = node.own_secrets.for_new_key(new.own_secret, actor=asked.actor, wish=wish, brand=brand)
    try:
        made, _ = call.change(
            lambda tx: new_keys.create(
                tx, actor=asked.actor, wish=wish, brand=brand, forge=node.forge, once=call.once, bring=bring
            )
        )
    except Refused as refused:
        typed, problem = KeyForm.refused(asked.form, refused.refusal, asked.say(refused.refusal))
        return _form(asked, typed, problem=problem, status=refused.refusal.status)
    if made.secret is None:
        return asked.go(f"/keys/{made.key.id}?done={'shown_before' if made.secret_shown else 'created'}")
    return asked.show(
        "secret.html",
        tab="keys",
        title="secret.created",
        key=made.key,
        secret=made.secret.reveal,
        stored_at=f"/keys/{made.key.id}",
        reset=None,
        status=201,
    )


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members("/keys/new", form),
    posted_by_members("/keys/new", create, slow=True),
)
