"""From where resets of the account's keys may start (K9); the allowlist of a key stands on the key's own page."""

from typing import Any, Final

from starlette.responses import Response

from keyturn.core import allowlist
from keyturn.core.allowlist import Matcher
from keyturn.core.permission import RIGHT_ACCOUNTS_WRITE
from keyturn.core.refusal import Refusal
from keyturn.flow import account as accounts
from keyturn.flow import policy as policies
from keyturn.flow import session_proof
from keyturn.flow.account import AccountEdit
from keyturn.ports.transaction import Transaction
from keyturn.web import account
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, posted_by_members, shown_to_members

_PATH: Final = "/account/allowlists"


def page(asked: SignedIn) -> Response:
    """The list, to who may read the account; a form to who may write it."""
    return _show(asked)


def _show(
    asked: SignedIn, *, typed: str | None = None, wrong: str = "", problem: str = "", status: int = 200
) -> Response:
    actor, address = asked.actor, asked.visit.address

    def query(tx: Transaction) -> dict[str, Any] | Refusal:
        found = accounts.show(tx, actor=actor, account_id=actor.account_id)
        if isinstance(found, Refusal):
            return found
        in_force = policies.effective(tx, found, "")
        return {
            "networks": found.reset_allowlist,
            "origin": in_force.policy.reset_origin,
            "policy": in_force.policy,
            "wanted": session_proof.wanted(tx, actor=actor),
        }

    found, _ = asked.call.read(query)
    networks = found["networks"]
    return account.show(
        asked,
        "allowlists",
        typed="\n".join(networks) if typed is None else typed,
        address=address,
        is_listed=not networks or (address is not None and Matcher(networks).admits(address)),
        may_write=actor.may(RIGHT_ACCOUNTS_WRITE, actor.account_id),
        wrong=wrong,
        errors={},
        problem=problem,
        status=status,
        **found,
    )


def save(asked: SignedIn) -> Response:
    """Put another list in place."""
    try:
        networks = allowlist.parse_set(asked.form.lines("networks"))
    except ValueError:
        wrong = asked.browser.words("wrong.allowlist")
        return _show(asked, typed=asked.form.raw("networks"), wrong=wrong, status=422)
    edit, account_id = AccountEdit(reset_allowlist=networks), asked.actor.account_id
    refusal = asked.try_change(lambda tx: accounts.edit(tx, actor=asked.actor, account_id=account_id, edit=edit))
    if refusal is None:
        return asked.go(_PATH + "?done=allowlist_saved")
    return _show(asked, typed=asked.form.raw("networks"), problem=asked.say(refusal), status=refusal.status)


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members(_PATH, page),
    posted_by_members(_PATH, save),
)
