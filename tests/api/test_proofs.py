"""Every proof of a reset over HTTP, and what an attacker would try with each (K2, R11, R15, R40, R51)."""

import json
import re
import sqlite3
import threading
import time
from email import message_from_bytes
from email.policy import default
from hashlib import sha256
from http import HTTPStatus
from itertools import count
from typing import Any

import pyotp

from tests.api.conftest import NAMED
from tests.captcha import solve
from tests.passkey import Passkey
from tests.serving import Answer, Serving
from tests.totp import confirmed

PASSPHRASE = "a pass phrase long enough"
WITH_CODES = {"proofs": ["password+totp", "password+passkey"], "step_up": "none"}
_MAIL_SECONDS = 20.0
_numbers = count()


class Person:
    """Somebody with an account, a key and a session, at one server."""

    def __init__(self, api: Serving, **policy: Any) -> None:
        number = next(_numbers)
        self.api = api
        name = f"proofs-{number}"
        stored = api.call("/v1/policies", {"name": name, "base": "tradingonramp", "reset_origin": "any"} | policy)
        assert stored.status == HTTPStatus.CREATED, stored.text
        account = api.call("/v1/accounts", {"name": f"proofs {number}", "policy": name}).body["id"]
        self.email = f"proofs{number}@example.com"
        wish = {"email": self.email, "password": PASSPHRASE, "account_id": account, "role": "owner"}
        owner = api.call("/v1/users", wish).body["id"]
        self.key = api.create(account_id=account, owner_id=owner)
        self.account, self.owner = account, owner
        self.token = self.sign_in()
        self.reset = ""

    def sign_in(self) -> str:
        """Another session."""
        token: str = self.api.call("/v1/sessions", {"user": self.email, "password": PASSPHRASE}).body["token"]
        return token

    def call(self, path: str, body: object = None, **words: Any) -> Answer:
        return self.api.call(path, body, **{"key": self.token} | words)

    def ask(self, reason: str = "routine") -> list[str]:
        """Ask for a reset; answers what is missing."""
        asked = self.call(f"/v1/keys/{self.key['id']}/resets", {"reason": reason})
        assert asked.status == HTTPStatus.CREATED, asked.text
        self.reset = asked.body["id"]
        missing: list[str] = asked.body["missing"]
        return missing

    def prove(self, kind: str, *, key: str | None = None, headers: dict[str, str] | None = None, **sent: Any) -> Answer:
        path = f"/v1/resets/{sent.pop('reset', self.reset)}/proofs"
        return self.api.call(path, {"kind": kind} | sent, key=key or self.token, headers=headers)

    def password(self, **words: Any) -> Answer:
        return self.prove("password", password=PASSPHRASE, **words)

    def mint(self, **words: Any) -> Answer:
        return self.call(f"/v1/resets/{self.reset}/mint", {}, **words)

    def app(self) -> tuple[pyotp.TOTP, list[str]]:
        """A TOTP app, confirmed with the code before the present one, and recovery codes."""
        again = {"kind": "password", "password": PASSPHRASE}
        self.token = self.call("/v1/sessions/current/proofs", again).body["token"]
        begun = self.call("/v1/authenticators/totp", {"name": "phone"}).body

        def confirm(code: str) -> list[str]:
            answer = self.call(f"/v1/authenticators/totp/{begun['id']}/confirm", {"code": code})
            codes: list[str] = answer.body.get("recovery_codes", [])
            return codes

        app = pyotp.TOTP(begun["secret"])
        return app, confirmed(app, confirm)

    def link(self, *, after: int = 0) -> str:
        """The token of the newest link that was mailed, once more than `after` have come."""
        until = time.monotonic() + _MAIL_SECONDS
        while time.monotonic() < until:
            files = sorted((self.api.folder / "mails").glob("*.eml"))
            mails = [message_from_bytes(one.read_bytes(), policy=default) for one in files]
            mine = [one for one in mails if self.email in str(one["To"]) and "Prove" in str(one["Subject"])]
            if len(mine) > after:
                part = mine[-1].get_body(("plain",))
                assert part is not None
                found = re.search(r"/links/(ktl_[\w-]+)", part.get_content())
                assert found is not None
                return found[1]
            time.sleep(0.05)
        raise AssertionError(self.api.said[-2000:])


def code(answer: Answer) -> str:
    return "done" if answer.status < 400 else str(answer.body["code"])


def captcha(api: Serving) -> str:
    """An answer to a challenge that anybody is given."""
    asked = api.call("/v1/captcha", key="").body
    assert asked["provider"] == "altcha"
    return solve(asked)


def test_k2_password_and_captcha_prove_a_reset_by_the_default_policy(api: Serving) -> None:
    person = Person(api)
    assert person.ask() == ["password+captcha", "password+email_link"]
    assert person.password().body["missing"] == ["captcha", "email_link"]
    proven = person.prove("captcha", captcha=captcha(api))
    assert (proven.body["stage"], [one["kind"] for one in proven.body["proofs"]]) == ("proven", ["password", "captcha"])
    secret = person.mint().body["secret"]
    assert (api.verdict(secret), api.verdict(person.key["secret"])) == ("valid", "replaced")


def test_r11_a_captcha_counts_once_whoever_shows_it(api: Serving) -> None:
    person, other = Person(api, proofs=["captcha"]), Person(api, proofs=["captcha"])
    person.ask()
    other.ask()
    answer = captcha(api)
    bent = solve(api.call("/v1/captcha").body | {"signature": "00" * 32})
    for wrong in (bent, "no base64", "e30=", ""):
        assert code(person.prove("captcha", captcha=wrong)) == "proof_refused"
    assert code(person.prove("captcha", captcha=answer)) == "done"
    assert code(other.prove("captcha", captcha=answer)) == "proof_refused"
    assert code(other.prove("captcha", captcha=captcha(api))) == "done"


def test_r11_a_code_proves_once_and_a_recovery_code_in_its_place(api: Serving) -> None:
    person = Person(api, **WITH_CODES)
    refused = person.call(f"/v1/keys/{person.key['id']}/resets", {"reason": "routine"})
    assert (refused.status, refused.body["code"]) == (409, "second_factor_not_enrolled")
    assert (refused.body["wanted"], refused.body["field"]) == (["totp", "passkey"], "proofs")
    app, codes = person.app()
    assert person.ask() == ["password+totp"]
    shown = app.now()
    assert person.prove("totp", code=shown).body["missing"] == ["password"]
    person.password()
    assert person.mint().status == HTTPStatus.OK
    person.ask()
    person.password()
    assert code(person.prove("totp", code=shown)) == "proof_refused"
    assert code(person.prove("recovery_code", code=codes[0])) == "done"
    assert person.mint().status == HTTPStatus.OK
    person.ask()
    assert code(person.prove("recovery_code", code=codes[0])) == "proof_refused"


def test_r11_a_passkeys_answer_is_for_one_reset_in_one_session(named: Serving) -> None:
    person = Person(named, **WITH_CODES)
    again = {"kind": "password", "password": PASSPHRASE}
    person.token = person.call("/v1/sessions/current/proofs", again).body["token"]
    device = Passkey(origin=NAMED, rp_id="keys.example.com")
    options = person.call("/v1/authenticators/passkeys/challenge", {}).body
    made = person.call("/v1/authenticators/passkeys", {"name": "laptop", "credential": device.create(options)})
    assert made.status == HTTPStatus.CREATED, made.text
    assert person.ask() == ["password+passkey"]
    challenge = f"/v1/resets/{person.reset}/proofs/passkey"
    recovery = made.body["recovery_codes"][0]
    signed_in = {"user": person.email, "password": PASSPHRASE, "recovery_code": recovery}
    elsewhere = named.call("/v1/sessions", signed_in).body["token"]
    assert code(named.call(challenge, {}, key=elsewhere)) == "not_the_asker"
    shown = device.get(person.call(challenge, {}).body)
    assert code(person.prove("passkey", key=elsewhere, credential=shown)) == "proof_refused"
    assert person.prove("passkey", credential=shown).body["missing"] == ["password"]
    assert code(person.prove("passkey", credential=shown)) == "proof_refused"
    person.password()
    assert person.mint().status == HTTPStatus.OK


def test_r51_a_mailed_link_is_used_up_by_its_proof_and_by_nothing_else(named: Serving) -> None:
    """A scanner opens it with HEAD and GET, another session shows it; then it proves, once."""
    person = Person(named, proofs=["email_link"])
    person.ask()
    mailed = person.prove("email_link")
    assert (mailed.status, mailed.body["missing"]) == (200, ["email_link"])
    token = person.link()
    for method in ("HEAD", *["GET"] * 5):
        named.call(f"/links/{token}", method=method, key="")
    assert code(person.prove("email_link", key=person.sign_in(), token=token)) == "proof_refused"
    assert code(person.prove("email_link", token="ktl_" + "A" * 43)) == "proof_refused"
    assert person.prove("email_link", token=token).body["stage"] == "proven"
    assert code(person.prove("email_link", token=token)) == "link_spent"
    assert person.mint().status == HTTPStatus.OK


def test_r51_a_link_proves_one_reset_only(named: Serving) -> None:
    person = Person(named, proofs=["email_link"])
    person.ask()
    person.prove("email_link")
    token = person.link()
    person.call(f"/v1/resets/{person.reset}/cancel", {})
    person.ask()
    assert code(person.prove("email_link", token=token)) == "proof_refused"
    person.prove("email_link")
    newer = person.link(after=1)
    assert newer != token
    assert code(person.prove("email_link", token=newer)) == "done"


def test_r40_a_key_neither_proves_for_a_person_nor_opens_a_session(api: Serving) -> None:
    person = Person(api, proofs=["password", "captcha", "email_link"])
    person.ask()
    rights = ["keyturn.keys:read", "keyturn.keys:write", "keyturn.keys:reset"]
    machine = api.create(account_id=person.account, owner_id=person.owner, permissions=rights)["secret"]
    for key in (machine, api.admin_key):
        assert code(person.password(key=key)) == "proof_not_wanted"
        assert code(person.prove("captcha", key=key, captcha=captcha(api))) == "proof_not_wanted"
        assert code(person.prove("email_link", key=key)) == "proof_not_wanted"
        assert code(person.mint(key=key)) in ("not_the_asker", "reset_out_of_order")
        for user in (person.email, person.owner, person.key["id"]):
            assert api.call("/v1/sessions", {"user": user, "password": key}, key=key).status == HTTPStatus.UNAUTHORIZED
        again = {"kind": "password", "password": PASSPHRASE}
        assert code(api.call("/v1/sessions/current/proofs", again, key=key)) == "person_required"
    assert person.password().body["stage"] == "proven"


def test_r10_no_step_can_be_taken_out_of_order_or_by_another(api: Serving) -> None:
    person, stranger = Person(api, proofs=["password"]), Person(api)

    def steps(token: str) -> dict[str, str]:
        base = f"/v1/resets/{person.reset}"
        return {
            "prove": code(person.password(key=token)),
            "mint": code(api.call(f"{base}/mint", {}, key=token)),
            "finish": code(api.call(f"{base}/finish", {}, key=token)),
            "cancel": code(api.call(f"{base}/cancel", {}, key=token)),
        }

    person.ask()
    assert set(steps(stranger.token).values()) == {"not_found"}
    base = f"/v1/resets/{person.reset}"
    for step in ("mint", "finish"):
        assert code(person.call(f"{base}/{step}", {})) == "reset_out_of_order"
    person.call(f"{base}/cancel", {})
    assert set(steps(person.token).values()) == {"reset_out_of_order"}
    person.ask()
    person.password()
    assert code(person.mint(key=person.sign_in())) == "not_the_asker"
    assert person.mint().status == HTTPStatus.OK
    after = steps(person.token)
    assert (after["prove"], after["mint"], after["cancel"]) == ("reset_out_of_order",) * 3


def test_r15_a_proof_under_an_idempotency_key_is_looked_at_once(api: Serving) -> None:
    person = Person(api, proofs=["password"], attempts=3)
    person.ask()
    wrong = {"Idempotency-Key": "wrong"}
    answers = [person.prove("password", password="not it", headers=wrong) for _ in range(4)]
    assert [(one.body["code"], one.body["attempts_left"]) for one in answers] == [("proof_refused", 2)] * 4
    right = {"Idempotency-Key": "right"}
    assert [person.password(headers=right).body["stage"] for _ in range(2)] == ["proven"] * 2
    reused = person.prove("password", password="another", headers=right)
    assert (reused.status, reused.body["code"]) == (422, "idempotency_key_reused")


def test_pitfall_10_what_is_remembered_of_a_proof_cannot_be_tried_out(named: Serving) -> None:
    """A plain digest of a body that holds a password or a code could be guessed by whoever reads the database."""
    person = Person(named, proofs=["password"])
    person.ask()
    person.password(headers={"Idempotency-Key": "digest"})
    with sqlite3.connect(named.folder / "keyturn.db") as connection:
        query = "SELECT request FROM idempotency WHERE idempotency_key = 'digest'"
        ((kept,),) = connection.execute(query).fetchall()
    connection.close()
    body = {"kind": "password", "password": PASSPHRASE}
    asked = ["POST", f"/v1/resets/{person.reset}/proofs", body]
    guesses = [json.dumps(asked, sort_keys=True, separators=separators).encode() for separators in [(",", ":"), None]]
    assert len(kept) == 32
    assert kept not in [sha256(one).digest() for one in [*guesses, json.dumps(body).encode(), PASSPHRASE.encode()]]


def test_r11_of_many_at_once_one_recovery_code_proves_one_reset(api: Serving) -> None:
    person = Person(api, proofs=["recovery_code"], step_up="none")
    _, codes = person.app()
    person.ask()
    other = api.create(account_id=person.account, owner_id=person.owner)
    another = person.call(f"/v1/keys/{other['id']}/resets", {"reason": "routine"}).body["id"]
    answers: list[str] = []

    def show(reset: str) -> None:
        answers.append(code(person.prove("recovery_code", code=codes[0], reset=reset)))

    threads = [threading.Thread(target=show, args=(reset,)) for reset in (person.reset, another)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["done", "proof_refused"]
