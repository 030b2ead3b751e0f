"""Somebody who is signed in, with the devices and codes that prove it, through the real flows."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pyotp

from keyturn.core.account import User
from keyturn.core.authenticator import Purpose, Shown
from keyturn.flow import authenticator, enrolment, session_proof
from keyturn.flow.enrolment import Enrolled, TotpEnrolment
from tests.passkey import Passkey
from tests.world import BASE_URL, World, sure

STEP = timedelta(seconds=30)


class Person:
    """Somebody signed in, with their devices."""

    def __init__(self, world: World, user: User | None = None) -> None:
        self.world = world
        self.user = user or world.user(world.account())
        self.actor = world.sign_in(self.user)
        self.app = pyotp.TOTP("A" * 32)

    def do(self, flow_name: str, /, **words: Any) -> Any:
        """One flow by its name, as this person."""
        flow: Callable[..., Any] = getattr(enrolment, flow_name)
        return self.world.store.change(lambda tx: flow(tx, **{"actor": self.actor} | words))

    def show(self, kind: str = "password", **words: Any) -> Any:
        """Show again who is there."""
        shown = Shown(kind=kind, **words)
        return self.again(shown)

    def again(self, shown: Shown, matched: str = "stored") -> Any:
        """The same, whatever matched."""
        words: dict[str, Any] = {"actor": self.actor, "shown": shown, "matched_password": matched}
        words |= {"forge": self.world.forge, "authenticators": self.world.authenticators}
        return self.world.store.change(lambda tx: session_proof.show(tx, **words))

    def ask_again(self) -> Any:
        return self.world.store.change(
            lambda tx: session_proof.ask_passkey(tx, actor=self.actor, authenticators=self.world.authenticators)
        )

    def begin(self, name: str = "phone") -> Any:
        return self.do("enrol_totp", name=name, forge=self.world.forge, authenticators=self.world.authenticators)

    def confirm(self, begun: TotpEnrolment, code: str | None = None) -> Any:
        return self.do(
            "confirm_totp",
            authenticator_id=begun.authenticator.id,
            code=self.app.at(self.world.clock.at) if code is None else code,
            authenticators=self.world.authenticators,
        )

    def with_app(self) -> Enrolled:
        """The same, with an app; the code that confirmed it is past."""
        sure(self.show())
        begun: TotpEnrolment = sure(self.begin())
        self.app = pyotp.TOTP(begun.secret.reveal)
        made: Enrolled = sure(self.confirm(begun))
        self.world.clock.advance(STEP)
        return made

    def with_passkey(self) -> Passkey:
        """The same, with a passkey; whatever proof that takes has been shown."""
        device = Passkey(origin=BASE_URL, rp_id="keys.example.com")
        sure(self.enrol(device))
        return device

    def enrol(self, device: Passkey) -> Any:
        options = sure(self.do("begin_passkey", authenticators=self.world.authenticators))
        return self.take(device.create(options))

    def take(self, credential: Mapping[str, Any]) -> Any:
        return self.do(
            "enrol_passkey",
            name="laptop",
            credential=credential,
            forge=self.world.forge,
            authenticators=self.world.authenticators,
        )

    def ask(self, purpose: Purpose = Purpose.SIGN_IN, **words: Any) -> Any:
        asked: dict[str, Any] = {
            "user_id": self.user.id,
            "session": self.actor.session,
            "authenticators": self.world.authenticators,
        }
        return self.world.store.change(lambda tx: authenticator.ask_passkey(tx, **asked | {"purpose": purpose} | words))

    def check(self, kind: str, **words: Any) -> Any:
        """What a sign-in asks of the second factor."""
        asked: dict[str, Any] = {"user_id": self.user.id, "session": self.actor.session}
        asked |= {name: words.pop(name) for name in ("user_id", "session", "purpose", "subject_id") if name in words}
        return self.world.store.change(
            lambda tx: authenticator.check(
                tx, shown=Shown(kind=kind, **words), authenticators=self.world.authenticators, **asked
            )
        )

    def code(self, steps: int = 0) -> str:
        return self.app.at(self.world.clock.at + steps * STEP)

    def enrolled(self) -> frozenset[str]:
        return self.world.store.read(lambda tx: authenticator.enrolled(tx, self.user.id))


def at_once(call: Callable[[], Any], times: int = 4) -> list[Any]:
    """What each of several threads is answered that do the same together."""
    start = threading.Barrier(times)
    answers: list[Any] = []

    def run() -> None:
        start.wait()
        answers.append(call())

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
