"""One server with pages for the tests of a whole run, and people who live there, each in a network of their own."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pyotp

from tests.passkey import Passkey
from tests.serving import Serving
from tests.web.person import Person

PASSPHRASE = "correct horse battery staple"


@dataclass
class House:
    """A running server, and whoever a test moves in."""

    server: Serving
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    met: list[Person] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where browsers find it: under a name, for passkeys want one."""
        return self.server.at("localhost")

    def account(self, **fields: object) -> str:
        """A new customer; its id."""
        made = self.server.call("/v1/accounts", {"name": f"Customer {next(self.numbers)}", **fields})
        assert made.status == 201, made.text
        return str(made.body["id"])

    def user(self, account_id: str = "", *, role: str = "owner", name: str = "Maria Lind") -> tuple[str, str]:
        """A new member of an account; id and address."""
        email = f"p{next(self.numbers)}@example.com"
        wish = {"email": email, "name": name, "password": PASSPHRASE, "role": role}
        made = self.server.call("/v1/users", wish | {"account_id": account_id or self.account()})
        assert made.status == 201, made.text
        return str(made.body["id"]), email

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

    def totp(self, email: str) -> tuple[pyotp.TOTP, list[str]]:
        """An authenticator app for that person, whose first code is shown already, and their recovery codes."""
        token = self.server.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
        self.server.call("/v1/sessions/current/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
        begun = self.server.call("/v1/authenticators/totp", {"name": "phone"}, key=token).body
        app = pyotp.TOTP(begun["secret"])
        earlier = app.at(int(time.time()) - app.interval)  # a code counts once: the present one is the test's
        path = f"/v1/authenticators/totp/{begun['id']}/confirm"
        codes = self.server.call(path, {"code": earlier}, key=token).body["recovery_codes"]
        return app, list(codes)

    def passkey(self, email: str) -> Passkey:
        """A passkey of that person."""
        token = self.server.call("/v1/sessions", {"user": email, "password": PASSPHRASE}).body["token"]
        self.server.call("/v1/sessions/current/proofs", {"kind": "password", "password": PASSPHRASE}, key=token)
        passkey = Passkey(origin=self.url, rp_id="localhost")
        options = self.server.call("/v1/authenticators/passkeys/challenge", {}, key=token).body
        made = {"name": "laptop", "credential": passkey.create(options)}
        assert self.server.call("/v1/authenticators/passkeys", made, key=token).status == 201
        return passkey


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    """The server, under a base URL with a name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = ("--port", str(port), "--base-url", f"http://localhost:{port}")
    house = House(Serving(folder=folder, flags=flags).start())
    try:
        yield house
    finally:
        for person in house.met:
            person.client.close()
        house.server.kill()
