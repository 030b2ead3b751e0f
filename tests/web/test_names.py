"""Names that mislead their readers do so on no page, however they came into the database (pitfall 27)."""

import sqlite3
from contextlib import closing

import pytest

from tests.web.house import PASSPHRASE, House
from tests.web.person import Person

EVIL = "<b>x</b>\N{RIGHT-TO-LEFT OVERRIDE}evil\N{ZERO WIDTH SPACE}\x1b[31m'\"{{7*7}}"
MISLEADING = ("<b>", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{ZERO WIDTH SPACE}", "\x1b")
COLUMNS = (
    ("users", "name"),
    ("accounts", "name"),
    ("keys", "name"),
    ("authenticators", "name"),
    ("sessions", "user_agent"),
    ("invitations", "email"),
    ("addresses", "email"),
    ("webhooks", "url"),
)


@pytest.fixture(scope="module")
def poisoned(house: House) -> tuple[Person, list[str]]:
    """Somebody in an account where everything is called what nothing may be called any more; where to look."""
    account = house.account()
    user, email = house.user(account)
    key = house.server.create(name="order router", account_id=account, owner_id=user)
    member, _ = house.user(account, role="member")
    house.join(house.account(), user)
    app, _ = house.totp(email)
    house.server.call(f"/v1/accounts/{account}/invitations", {"email": "x@example.com", "role": "member"})
    house.server.call("/v1/webhooks", {"url": "https://hooks.example.com/x", "account_id": account})
    stop = house.link(email, "New API key")
    forgotten = house.forgotten(email)
    person = house.person()
    person.sign_in(email, PASSPHRASE)
    person.submit("/sign-in/second", totp=app.now())
    invitation = house.link("x@example.com", "Invitation to")
    with closing(sqlite3.connect(house.server.folder / "keyturn.db", timeout=30)) as database, database:
        for table, column in COLUMNS:
            owners = {
                "users": ("id", (user, member)),
                "accounts": ("id", (account,)),
                "keys": ("id", (key["id"],)),
                "authenticators": ("user_id", (user,)),
                "sessions": ("user_id", (user,)),
                "addresses": ("user_id", (user,)),
            }.get(table, ("account_id", (account,)))
            for one in owners[1]:
                database.execute(f"update {table} set {column} = ? where {owners[0]} = ?", (EVIL, one))
    own = [f"/account{part}" for part in ("", "/members", f"/members/{member}", "/security", "/sessions", "/notices")]
    keys = ["/keys", f"/keys/{key['id']}", f"/keys/{key['id']}/reset"]
    return person, [*own, "/account/webhooks", "/accounts", *keys, stop, forgotten, invitation]


def test_pitfall_27_no_page_repeats_what_misleads(poisoned: tuple[Person, list[str]]) -> None:
    person, pages = poisoned
    for path in pages:
        page = person.see(path)
        assert page.status == 200, path
        assert "evil" in page.html, f"{path} shows the name at all"
        assert not [one for one in MISLEADING if one in page.html], path
        assert "{{7*7}}" in page.html, f"{path} reckons with what it shows"
