"""What a verifier's credential may do, and that nothing shows it."""

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import pytest

from keyturn.sdk import Client, NotAllowed, Verifier
from keyturn.sdk.asgi import KeyturnMiddleware
from keyturn.sdk.client import is_loopback_url
from keyturn.sdk.needs import finder
from tests.sdk.verifying import LONG, find, until
from tests.serving import Serving


def test_a_credential_that_may_not_attach_is_named(server: Serving) -> None:
    account = server.call("/v1/accounts", {"name": "customer"}).body["id"]
    owner = {"email": f"{account}@example.com", "account_id": account, "role": "owner"}
    assert server.call("/v1/users", owner).status == HTTPStatus.CREATED
    theirs = server.create(account_id=account, permissions=["keyturn.attach"])["secret"]
    weaker = server.create(permissions=["keyturn.verify"])["secret"]
    secret = server.create()["secret"]
    for shown, code in (
        ("nonsense", "unauthenticated"),
        (theirs, "permission_missing"),
        (weaker, "permission_missing"),
    ):
        with Verifier(server.url, shown) as verifier:
            with pytest.raises(NotAllowed) as raised:
                # Two of them may ask about some keys, but none may have a key to keep.
                verifier._memory.verify_cold(sha256(secret.encode()).digest(), find(verifier), now=0)
            until(lambda: verifier.refused)  # asked at once
            assert (raised.value.code, verifier.refused, verifier.lease) == (code, code, 0)
            assert shown not in f"{raised.value} {verifier!r}"


def test_a_credential_that_is_revoked_ends_the_lease(server: Serving) -> None:
    made = server.create(permissions=["keyturn.attach"])
    secret = server.create()["secret"]
    server.leased(1_000_000)  # it is waited for
    try:
        with Verifier(server.url, made["secret"]) as verifier:
            assert verifier.wait_until_leased(LONG)
            assert verifier.verify(secret)
            assert server.call(f"/v1/keys/{made['id']}/revoke", {}).status == HTTPStatus.OK
            until(lambda: verifier.refused)
            until(lambda: verifier.lease == 0)
            with pytest.raises(NotAllowed):
                verifier.verify(secret)
    finally:
        server.leased()


_FEED: Final = {"/v1/feed", "/v1/feed/fill", "/v1/feed/share"}
ITS_WORK: Final = _FEED | {"/v1/verify", "/v1/self", "/v1/self/reset", "/v1/self/revoke"}


def test_a_verifiers_credential_can_verify_and_nothing_else(server: Serving, credential: str) -> None:
    """Every call that is described, but for its work: it may what a key may that holds no right at all."""
    target, plain = server.create(), server.create(permissions=["a:read"])["secret"]
    tried = 0
    for path, methods in server.call("/openapi.json").body["paths"].items():
        at = path.replace("{key_id}", target["id"])
        for method in methods.keys() & {"get", "post", "patch", "put", "delete"} if path not in ITS_WORK else ():
            asked: dict[str, Any] = {"body": None if method == "get" else {}, "method": method.upper()}
            answer = server.call(at, key=credential, **asked)
            if answer.status < HTTPStatus.BAD_REQUEST:
                assert server.call(at, key=plain, **asked).status == answer.status, (method, path, answer.text)
            tried += 1
    assert tried > 50
    for path, body in {
        "/v1/keys": {"name": "x"},
        f"/v1/keys/{target['id']}/resets": {"reason": "leaked"},
        f"/v1/keys/{target['id']}/suspend": {"reason": "leaked"},
        f"/v1/keys/{target['id']}/revoke": {},
        "/v1/accounts": {"name": "x"},
        "/v1/policies": {"name": "x"},
    }.items():
        answer = server.call(path, body, key=credential)
        assert answer.body["code"] in ("permission_missing", "not_found"), (path, answer.text)
    assert server.verdict(target["secret"]) == "valid"


async def _nothing(*_: object) -> None:
    """An application that is never reached."""


def test_no_secret_is_in_what_it_says(server: Serving, credential: str, verifier: Verifier) -> None:
    """Also not one that was given in the wrong place."""
    assert credential not in repr(verifier)
    with pytest.raises(ValueError, match="none") as raised:
        Verifier(server.url, f"{credential} {credential}")
    assert credential not in str(raised.value)
    made_wrong: list[Callable[[], object]] = [
        lambda: Verifier(credential, server.url),
        lambda: Verifier(f"https://{credential}@keys.example.com", "x"),
        lambda: Verifier(f"https://keys.example.com:{credential}", "x"),
        lambda: Client(credential, key=server.url),
        lambda: Client(f"https://keys.example.com:{credential}", key="x"),
        lambda: is_loopback_url(f"https://keys.example.com:{credential}"),
        lambda: Verifier(server.url, "x", on_lapse=credential),
        lambda: Verifier(server.url, "x", on_lapse=f"stale:{credential}"),
        lambda: verifier.verify("x", ip=credential),
        lambda: verifier.verify("x", ip="2001:db8::1::2"),
        lambda: verifier.verify_warm("x", permission=credential),
        lambda: verifier.verify("x", permission=["orders:read", credential]),
        lambda: finder(lambda *_: credential)("GET", "/"),
        lambda: finder({"/orders": credential}),
        lambda: KeyturnMiddleware(_nothing, verifier, needs=credential),
    ]
    for make in made_wrong:
        with pytest.raises(ValueError, match=r"address|permission|on_lapse") as raised:
            make()
        assert credential not in str(raised.value)
        assert "2001:" not in str(raised.value)
        assert raised.value.__context__ is None or raised.value.__suppress_context__, "it would be told all the same"
    for given in ({}, {"credential": "x", "credential_file": "y"}):
        with pytest.raises(ValueError, match="or the file"):
            Verifier(server.url, **given)  # type: ignore[arg-type]  # as somebody may call it
