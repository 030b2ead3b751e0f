"""Account: who is signed in, for which account, and what holds for new keys; its other pages are beside it."""

from typing import Any, Final

from starlette.responses import Response

from keyturn.core.account import key_limit
from keyturn.core.permission import RIGHT_ACCOUNTS_READ
from keyturn.flow import account as accounts
from keyturn.flow import policy as policies
from keyturn.flow import session as sessions
from keyturn.ports.transaction import Transaction
from keyturn.web.arrival import HOME, keep
from keyturn.web.asked import SignedIn
from keyturn.web.route import Place, posted_by_members, shown_to_members

_SUBTABS: Final = (
    ("overview", "/account", ""),
    ("members", "/account/members", RIGHT_ACCOUNTS_READ),
    ("security", "/account/security", ""),
    ("sessions", "/account/sessions", ""),
    ("allowlists", "/account/allowlists", RIGHT_ACCOUNTS_READ),
    ("notices", "/account/notices", ""),
    ("webhooks", "/account/webhooks", RIGHT_ACCOUNTS_READ),
)


def show(asked: SignedIn, subtab: str, *, problem: str = "", status: int = 200, **values: Any) -> Response:  # noqa: ANN401  # a template's
    """One of the pages under Account."""
    return asked.show(
        f"account_{subtab}.html", subtabs=_SUBTABS, subtab=subtab, problem=problem, status=status, **values
    )


def overview(asked: SignedIn) -> Response:
    """Who am I here, and what holds for new keys."""
    actor = asked.actor

    def query(tx: Transaction) -> dict[str, Any]:
        account = asked.around["account"]
        in_force = policies.effective(tx, account, "")
        return {
            "memberships": accounts.own(tx, actor=actor),
            "in_force": in_force,
            "limit": key_limit(account, in_force.policy, policies.floors(tx, account)),
        }

    found, _ = asked.call.read(query)
    return show(asked, "overview", **found)


def choose(asked: SignedIn) -> Response:
    """Which account to speak for, where there are several."""
    found, _ = asked.call.read(lambda tx: accounts.own(tx, actor=asked.actor))
    if len(found) == 1:
        return asked.go(HOME)
    return asked.show("accounts.html", memberships=found)


def chosen(asked: SignedIn) -> Response:
    """Speak for it from now on, under another token."""
    account_id, forge = asked.form("account"), asked.visit.node.forge
    answer, _ = asked.call.change(
        lambda tx: sessions.choose_account(tx, actor=asked.actor, account_id=account_id, forge=forge)
    )
    return keep(asked, answer, HOME)


PLACES: Final[tuple[Place, ...]] = (
    shown_to_members("/account", overview),
    shown_to_members("/accounts", choose),
    posted_by_members("/accounts", chosen),
)
