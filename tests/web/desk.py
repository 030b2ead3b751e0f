"""A real server with a customer on it, as pages are looked at: one account, its people, keys in use."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.serving import Serving

PASSWORD: Final = "a long enough passphrase"
MARIA: Final = "maria@northwind.example"


class Desk:
    """The server, and what a test adds through its API."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        self.account_id = ""
        self.people: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.server.url

    def account(self, name: str = "Northwind Trading", **fields: object) -> dict[str, Any]:
        """A customer."""
        made: dict[str, Any] = self._made("/v1/accounts", {"name": name} | fields)
        return made

    def policy(self, name: str, *, base: str = "tradingonramp", **fields: object) -> str:
        """A policy of that name."""
        self._made("/v1/policies", {"name": name, "base": base} | fields)
        return name

    def person(self, email: str = MARIA, *, name: str = "Maria Lind", role: str = "owner", **fields: object) -> str:
        """Somebody who can sign in with `PASSWORD`; answers their id."""
        wish = {"email": email, "name": name, "role": role, "password": PASSWORD, "account_id": self.account_id}
        made = self._made("/v1/users", wish | fields)
        self.people[email] = made
        identity: str = made["id"]
        return identity

    def key(self, name: str = "order router", *, owner: str = MARIA, **fields: object) -> dict[str, Any]:
        """A key of theirs, with its secret."""
        plain: dict[str, object] = {"name": name, "permissions": ["orders:write"]}
        return self.server.create(
            **plain | {"account_id": self.account_id, "owner_id": self.people[owner]["id"]} | fields
        )

    def link(self, kind: str, *, to: str) -> str:
        """The newest link that was mailed to that address, once it is there."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for file in sorted((self.server.folder / "mails").glob("*.eml"), reverse=True):
                mail = message_from_bytes(file.read_bytes(), policy=policy.default)
                if to in str(mail["To"]) and kind in str(mail["Subject"]).lower():
                    found = re.search(r"https?://\S+/links/\S+", mail.get_body(("plain",)).get_content())  # type: ignore[union-attr]  # ours have one
                    if found:
                        return found[0]
            time.sleep(0.1)
        msg = f"no mail with a link came to {to}"
        raise AssertionError(msg)

    def read(self, path: str) -> Any:  # JSON
        """What the administrator reads there."""
        answer = self.server.call(path)
        assert answer.status == 200, answer.text
        return answer.body

    def _made(self, path: str, wish: object) -> dict[str, Any]:
        answer = self.server.call(path, wish)
        assert answer.status in (200, 201), answer.text
        made: dict[str, Any] = answer.body
        return made


@contextmanager
def opened(folder: Path, *, flags: Sequence[str] = (), tls: bool = False) -> Iterator[Desk]:
    """A desk with Maria at it, who owns an account under a policy that asks for a password only."""
    server = Serving(folder, flags=flags, tls=tls).start()
    try:
        desk = Desk(server)
        desk.policy("password-only", proofs=["password"], grace_max="7d", reset_origin="any", on_member_added="none")
        desk.account_id = desk.account(policy="password-only")["id"]
        desk.person()
        yield desk
    finally:
        server.kill()


def sign_in(page: Page, user: str = MARIA, password: str = PASSWORD) -> None:
    """From the front page to **API Keys**."""
    page.goto("/")
    page.get_by_label("User name or e-mail").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/keys")
