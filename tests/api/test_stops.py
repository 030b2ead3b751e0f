"""What stops or narrows a key stands behind nothing else, by whichever face it comes (K8, R22, R50)."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from fastapi.routing import APIRoute

from keyturn.api import accounts, keys, members, own, resets
from keyturn.api.aim import EDITS, RESETS, STOPS
from keyturn.edge.places import NARROWING
from tests import databases
from tests.hanging import hanging
from tests.postgres import Postgres
from tests.serving import Answer, Serving
from tests.web.house import PASSPHRASE, House
from tests.web.person import Person

PATIENCE: Final = 600
ANSWERED: Final = 120
"""Seconds; only who would wait in vain reaches their end."""


@dataclass
class Incident:
    """Somebody with keys, signed in, with every form open that could stop one."""

    server: Serving
    house: House
    account: str
    owner: str
    email: str
    person: Person
    open_forms: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def key(self, **wish: object) -> dict[str, Any]:
        """A key of theirs."""
        made = self.server.create(account_id=self.account, owner_id=self.owner, **wish)
        assert self.server.verdict(made["secret"]) == "valid"
        return made

    def opened(self, path: str, *, at: str = "", **typed: str) -> Callable[[], httpx2.Response]:
        """A form of a page that is open; it can be sent without a page being looked at."""
        self.person.see(at or path)
        fields = self.person.page.form(path).fields | typed
        return lambda: self.person.client.post(path, data=fields)


@contextmanager
def incident(postgres_server: Postgres, folder: Path) -> Iterator[tuple[Incident, str]]:
    with databases.postgres_empty(postgres_server) as url:
        server = Serving(folder / "data", database_url=url, patience=PATIENCE).start()
        house = House(server)
        try:
            rules = {"proofs": ["password"], "reset_origin": "any", "on_member_added": "none", "self_reset": "allowed"}
            account = house.account(policy=house.policy(grace_default="1h", **rules))
            owner, email = house.user(account)
            person = house.person()
            person.client.timeout = httpx2.Timeout(PATIENCE)
            assert person.sign_in(email, PASSPHRASE).path == "/keys"
            yield Incident(server, house, account, owner, email, person), url
        finally:
            for one in house.met:
                one.client.close()
            server.kill()


Step = Callable[[], Answer | httpx2.Response]
Prepared = tuple[Step, str, str]
"""What is done while everything else hangs, the secret it is about, and what becomes of that."""


def _call(one: Incident, path: str, body: object, *, method: str = "", key: str | None = None) -> Step:
    return lambda: one.server.call(path, body, method=method, key=key)


def _suspended(one: Incident) -> Prepared:
    key = one.key()
    return _call(one, f"/v1/keys/{key['id']}/suspend", {}), key["secret"], "suspended"


def _revoked(one: Incident) -> Prepared:
    key = one.key()
    return _call(one, f"/v1/keys/{key['id']}/revoke", {}), key["secret"], "revoked"


def _revoked_itself(one: Incident) -> Prepared:
    key = one.key()
    return _call(one, "/v1/self/revoke", {}, key=key["secret"]), key["secret"], "revoked"


def _account(one: Incident) -> Prepared:
    account = one.house.account()
    key = one.server.create(account_id=account, owner_id=one.house.user(account)[0])
    return _call(one, f"/v1/accounts/{account}/suspend", {}), key["secret"], "suspended"


def _leaked(one: Incident, *, reason: str = "leaked", **more: object) -> Prepared:
    key = one.key()
    becomes = "suspended" if more else "replaced"
    return _call(one, f"/v1/keys/{key['id']}/resets", {"reason": reason} | more), key["secret"], becomes


def _leaked_itself(one: Incident) -> Prepared:
    key = one.key()
    return _call(one, "/v1/self/reset", {"reason": "leaked"}, key=key["secret"]), key["secret"], "replaced"


def _finished(one: Incident) -> Prepared:
    key = one.key()
    reset = one.server.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine", "grace": "1h"}).body["id"]
    assert one.server.verdict(key["secret"]) == "valid"
    return _call(one, f"/v1/resets/{reset}/finish", {}), key["secret"], "replaced"


def _member(one: Incident) -> Prepared:
    user, _ = one.house.user(one.account, role="member")
    key = one.server.create(account_id=one.account, owner_id=user)
    path = f"/v1/accounts/{one.account}/members/{user}"
    return _call(one, path, None, method="DELETE"), key["secret"], "suspended"


def _narrowed(one: Incident, edit: dict[str, object], becomes: str) -> Prepared:
    key = one.key()
    return _call(one, f"/v1/keys/{key['id']}", edit, method="PATCH"), key["secret"], becomes


def _pressed_suspend(one: Incident) -> Prepared:
    key = one.key()
    form = one.opened(f"/keys/{key['id']}/suspend", at=f"/keys/{key['id']}")
    return form, key["secret"], "suspended"


def _pressed_revoke(one: Incident) -> Prepared:
    key = one.key()
    form = one.opened(f"/keys/{key['id']}/revoke", at=f"/keys/{key['id']}", name="test")
    return form, key["secret"], "revoked"


def _pressed_leaked(one: Incident) -> Prepared:
    key = one.key()
    form = one.opened(f"/keys/{key['id']}/reset", at=f"/keys/{key['id']}/reset?reason=leaked")
    return form, key["secret"], "suspended"


def _pressed_finish(one: Incident) -> Prepared:
    key = one.key()
    reset = one.server.call(f"/v1/keys/{key['id']}/resets", {"reason": "routine", "grace": "1h"}).body["id"]
    return one.opened(f"/resets/{reset}/finish", at=f"/resets/{reset}"), key["secret"], "replaced"


def _pressed_edit(one: Incident) -> Prepared:
    key = one.key()
    form = one.opened(f"/keys/{key['id']}/edit", allowlist="192.0.2.0/24")
    return form, key["secret"], "ip_not_allowed"


def _pressed_remove(one: Incident) -> Prepared:
    user, _ = one.house.user(one.account, role="member")
    key = one.server.create(account_id=one.account, owner_id=user)
    form = one.opened(f"/account/members/{user}/remove", at=f"/account/members/{user}")
    return form, key["secret"], "suspended"


def _pressed_not_me(one: Incident) -> Prepared:
    account = one.house.account()
    owner, email = one.house.user(account)
    key = one.server.create(account_id=account, owner_id=owner)
    link = one.house.link(email, "New API key")
    stranger = one.house.person()
    stranger.client.timeout = httpx2.Timeout(PATIENCE)
    stranger.see(link)
    fields = stranger.page.form(f"{link}/stop").fields | {"sure": "yes"}
    return lambda: stranger.client.post(f"{link}/stop", data=fields), key["secret"], "suspended"


PREPARED: Final[Mapping[str, Callable[[Incident], Prepared]]] = {
    "suspend": _suspended,
    "revoke": _revoked,
    "a key revokes itself": _revoked_itself,
    "suspend an account": _account,
    "leaked": _leaked,
    "suspicious": lambda one: _leaked(one, reason="suspicious"),
    "leaked, to be claimed": lambda one: _leaked(one, claim=True),
    "a key says that it leaked": _leaked_itself,
    "finish": _finished,
    "remove a member": _member,
    "fewer addresses": lambda one: _narrowed(one, {"allowlist": ["192.0.2.0/24"]}, "ip_not_allowed"),
    "fewer permissions": lambda one: _narrowed(one, {"permissions": []}, "valid"),
    "fewer requests": lambda one: _narrowed(one, {"limit": "100/1m"}, "valid"),
    "fewer days": lambda one: _narrowed(one, {"expires_at": "2999-01-01T00:00:00Z"}, "valid"),
    "page: suspend": _pressed_suspend,
    "page: revoke": _pressed_revoke,
    "page: leaked": _pressed_leaked,
    "page: finish": _pressed_finish,
    "page: fewer addresses": _pressed_edit,
    "page: remove a member": _pressed_remove,
    "page: this was not me": _pressed_not_me,
}


def test_k8_r22_whatever_stops_or_narrows_a_key_stands_behind_nothing_else(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    """More requests than there are threads for hang."""
    with incident(postgres_server, tmp_path) as (one, url):
        prepared = {story: prepare(one) for story, prepare in PREPARED.items()}
        with ThreadPoolExecutor(1) as pool, hanging(one.server, url) as held:
            for story, (step, secret, becomes) in prepared.items():
                answer = pool.submit(step).result(ANSWERED)
                status = answer.status if isinstance(answer, Answer) else answer.status_code
                assert status in (200, 201, 303), (story, status)
                assert one.server.verdict(secret) == becomes, story
            assert held.under_way


def test_k8_stops_do_not_stand_behind_what_narrows(postgres_server: Postgres, tmp_path: Path) -> None:
    """Programs that keep allowlists send edits by the thousand."""
    with incident(postgres_server, tmp_path) as (one, url):
        step, secret, becomes = _revoked(one)
        with (
            ThreadPoolExecutor(1) as pool,
            hanging(one.server, url, places=NARROWING, allowlist=["192.0.2.0/24"]) as held,
        ):
            answer = pool.submit(step).result(ANSWERED)
            assert isinstance(answer, Answer)
            assert answer.body["receipt"]["confirmed"]
            assert one.server.verdict(secret) == becomes
            assert held.under_way


RECEIPTS: Final = {
    ("POST", "/v1/keys/{key_id}/resume"),
    ("POST", "/v1/resets/{reset_id}/claim"),
    ("POST", "/v1/resets/{reset_id}/mint"),
}
"""These answer with a receipt too, but what they stop is stopped already, or goes on."""


def test_k8_every_call_that_answers_with_a_receipt_has_a_place() -> None:
    """Whoever adds one decides on which."""
    routes = {
        (method, route.path): route
        for part in (accounts, keys, members, own, resets)
        for route in part.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    receipts = {
        call
        for call, route in routes.items()
        if call[0] != "GET" and "receipt" in getattr(route.response_model, "model_fields", {})
    }
    assert receipts <= STOPS | RESETS | EDITS | RECEIPTS
    assert routes.keys() >= STOPS | RESETS | EDITS | RECEIPTS
