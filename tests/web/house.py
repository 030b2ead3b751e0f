"""One server with pages for the tests of a whole run, and people who live there, each in a network of their own."""

import re
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from itertools import count
from pathlib import Path

import pyotp

from tests.passkey import Passkey
from tests.serving import Serving
from tests.totp import confirmed
from tests.web.person import Person

PASSPHRASE = "correct horse battery staple"
FORGOTTEN = "Set a new password"
_MAIL_SECONDS = 30


@dataclass
class House:
    """A running server, and whoever a test moves in."""

    server: Serving
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    met: list[Person] = field(default_factory=list)
    came: dict[Path, EmailMessage] = field(default_factory=dict)
    """Every mail that was looked at, by its file: each is read once."""

    @property
    def url(self) -> str:
        """Where browsers find it: under a name, for passkeys want one."""
        return self.server.at("localhost")

    def account(self, **fields: object) -> str:
        """A new customer; its id."""
        made = self.server.call("/v1/accounts", {"name": f"Customer {next(self.numbers)}"} | fields)
        assert made.status == 201, made.text
        return str(made.body["id"])

    def policy(self, **fields: object) -> str:
        """A policy that differs from the default in these; its name."""
        name = f"policy-{next(self.numbers)}"
        made = self.server.call("/v1/policies", {"name": name, "base": "tradingonramp", **fields})
        assert made.status == 201, made.text
        return name

    def user(self, account_id: str = "", *, role: str = "owner", name: str = "Maria Lind") -> tuple[str, str]:
        """A new member of an account; id and address."""
        email = f"p{next(self.numbers)}@example.com"
        wish = {"email": email, "name": name, "password": PASSPHRASE, "role": role}
        made = self.server.call("/v1/users", wish | {"account_id": account_id or self.account()})
        assert made.status == 201, made.text
        return str(made.body["id"]), email

    def join(self, account_id: str, user_id: str, role: str = "member") -> None:
        """Make somebody who is a user already a member of another account too."""
        made = self.server.call(f"/v1/accounts/{account_id}/members", {"user_id": user_id, "role": role})
        assert made.status == 201, made.text

    def person(self, **traits: object) -> Person:
        """A fresh browser, in a network of its own."""
        number = next(self.numbers)
        address = f"127.{1 + number // 250}.{number % 250}.1"
        self.met.append(Person(self.url, **{"address": address} | traits))  # type: ignore[arg-type]  # as Person takes them
        return self.met[-1]

    def signed_in(self, account_id: str = "", *, role: str = "owner") -> Person:
        """Somebody new, signed in."""
        _, email = self.user(account_id, role=role)
        person = self.person()
        assert person.sign_in(email, PASSPHRASE).path == "/keys"
        return person

    def link(self, email: str, subject: str, *, after: int = 0) -> str:
        """The path of the link in the newest mail of that subject, once more than `after` of them are there."""
        until = time.monotonic() + _MAIL_SECONDS
        while time.monotonic() < until:
            mails = self.mails(email, subject)
            if len(mails) > after:
                found = re.search(r"/links/ktl_[\w-]+", mails[-1].get_body(("plain",)).get_content())  # type: ignore[union-attr]  # each has one
                assert found, mails[-1]
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no mail to {email}: {self.server.said[-2000:]}")

    def forgotten(self, email: str) -> str:
        """A link for a new password, mailed to that address."""
        before = len(self.mails(email, FORGOTTEN))
        self.person().submit("/forgot", at="/forgot", user=email)
        return self.link(email, FORGOTTEN, after=before)

    def counted(self) -> dict[str, int]:
        """How many rows there are of whatever a page could change."""
        with closing(sqlite3.connect(self.server.folder / "keyturn.db", timeout=30)) as database:
            tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            # The outbox fills by itself, later, with links in its mails; so does what is known of uses.
            told = {"deliveries", "notices", "letters", "callers", "uses"}
            asked = {one: f"select count(*) from {one}" for one in tables if one not in told}
            asked["links"] += " where kind != 'not_me'"
            return {one: database.execute(query).fetchone()[0] for one, query in asked.items()}

    def mails(self, email: str, subject: str = "") -> list[EmailMessage]:
        """What was mailed there, oldest first."""
        folder = self.server.folder / "mails"
        files = sorted(folder.glob("*.eml")) if folder.exists() else []
        for one in files:
            if one not in self.came:
                self.came[one] = message_from_bytes(one.read_bytes(), policy=default)
        mails = (self.came[one] for one in files)
        return [one for one in mails if email in str(one["To"]) and subject in str(one["Subject"])]

    def _proven(self, email: str) -> str:
        """The token of a session of that person, in which they have just shown their password once more."""
        token = self.server.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
        again = {"kind": "password", "password": PASSPHRASE}
        proven: str = self.server.call("/v1/sessions/current/proofs", again, key=token).body["token"]
        return proven

    def totp(self, email: str) -> tuple[pyotp.TOTP, list[str]]:
        """An authenticator app for that person, whose first code is shown already, and their recovery codes."""
        token = self._proven(email)
        begun = self.server.call("/v1/authenticators/totp", {"name": "phone"}, key=token).body
        path = f"/v1/authenticators/totp/{begun['id']}/confirm"

        def confirm(code: str) -> list[str]:
            codes: list[str] = self.server.call(path, {"code": code}, key=token).body.get("recovery_codes", [])
            return codes

        app = pyotp.TOTP(begun["secret"])
        return app, confirmed(app, confirm)

    def passkey(self, email: str) -> Passkey:
        """A passkey of that person."""
        token = self._proven(email)
        passkey = Passkey(origin=self.url, rp_id="localhost")
        options = self.server.call("/v1/authenticators/passkeys/challenge", {}, key=token).body
        made = {"name": "laptop", "credential": passkey.create(options)}
        assert self.server.call("/v1/authenticators/passkeys", made, key=token).status == 201
        return passkey


@contextmanager
def opened(folder: Path, *, flags: Sequence[str] = ()) -> Iterator[House]:
    """The server, under a base URL with a name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    all_flags = ("--port", str(port), "--base-url", f"http://localhost:{port}", *flags)
    house = House(Serving(folder=folder, flags=all_flags).start())
    try:
        yield house
    finally:
        for person in house.met:
            person.client.close()
        house.server.kill()
