"""Signed requests from both sides (R42): what one makes the other reads, and the verifier accepts."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from keyturn.core.signature import read_base
from keyturn.outside import ed25519
from keyturn.sdk.signing import NotSigned, content_digest, digest_matches, sign, signed
from tests.signing import Pair

URL = "https://API.example.com:443/orders?symbol=X&side=buy"
PAIR = Pair()


def made(method: str = "POST", url: str = URL, **changes: Any) -> dict[str, str]:
    plain: dict[str, Any] = {"key_id": "key_1", "created": 1_893_456_000, "nonce": "n1", "signer": PAIR.private.sign}
    return sign(method, url, **(plain | changes))


def checked(asked: dict[str, str]) -> bool:
    said = read_base(asked["base"])
    assert said is not None
    assert (said.key_id, said.created) == (asked["key_id"], 1_893_456_000)
    signature = b64decode(asked["signature"])
    return ed25519.matches(PAIR.public_key.raw, signature=signature, message=asked["base"].encode())


@pytest.mark.parametrize("body", [b"", b'{"amount": 1}'])
def test_r42_what_one_side_signs_the_other_reads(body: bytes) -> None:
    headers = made(body=body)
    assert checked(signed("POST", URL, headers, body=body))
    assert checked(signed("POST", "https://api.example.com/orders?symbol=X&side=buy", headers, body=body))


CHANGED: dict[str, tuple[str, str, bytes]] = {
    "another method": ("GET", URL, b"x"),
    "another host": ("POST", URL.replace("API", "dev"), b"x"),
    "another path": ("POST", URL.replace("orders", "drains"), b"x"),
    "another query": ("POST", URL.replace("buy", "sell"), b"x"),
    "no query": ("POST", URL.partition("?")[0], b"x"),
    "another port": ("POST", URL.replace("443", "8443"), b"x"),
}


@pytest.mark.parametrize("story", CHANGED)
def test_r42_what_was_changed_on_the_way_does_not_match(story: str) -> None:
    method, url, body = CHANGED[story]
    assert not checked(signed(method, url, made(body=b"x"), body=body))


REFUSED: dict[str, tuple[Callable[[dict[str, str]], dict[str, str]], str]] = {
    "no signature": (lambda _: {}, "no such signature"),
    "no input": (lambda all_: {"Signature": all_["Signature"]}, "no such signature"),
    "two, of which none is named": (
        lambda all_: (
            all_ | {"Signature-Input": f"{all_['Signature-Input']}, b=()", "Signature": "sig=:AA==:, b=:AA==:"}
        ),
        "no such signature",
    ),
    "named twice": (lambda all_: all_ | {"Signature": "sig=:AA==:, sig=:AA==:"}, "no such signature"),
    "not to be read": (lambda all_: all_ | {"Signature-Input": "sig=nonsense"}, "no such signature"),
    "covers too little": (
        lambda all_: all_ | {"Signature-Input": 'sig=("@method");created=1;keyid="key_1"'},
        "does not cover @authority, @path, @query, content-digest",
    ),
    "names no key": (
        lambda all_: all_ | {"Signature-Input": all_["Signature-Input"].replace(';keyid="key_1"', "")},
        "names no key",
    ),
    "another body": (lambda all_: all_ | {"Content-Digest": content_digest(b"other")}, "not the one that was signed"),
    "no digest": (lambda all_: {name: all_[name] for name in all_ if name != "Content-Digest"}, "not the one"),
    "a header that is not there": (
        lambda all_: all_ | {"Signature-Input": all_["Signature-Input"].replace("(", '("x-gone" ')},
        "not there",
    ),
    "a part that nobody knows": (
        lambda all_: all_ | {"Signature-Input": all_["Signature-Input"].replace("(", '("@status" ')},
        "does not know",
    ),
    "a header that is not ASCII": (
        lambda all_: all_ | {"X-Odd": "é", "Signature-Input": all_["Signature-Input"].replace("(", '("x-odd" ')},
        "not ASCII",
    ),
}


@pytest.mark.parametrize("story", REFUSED)
def test_r42_what_cannot_be_checked_is_told_and_nothing_of_it_repeated(story: str) -> None:
    change, told = REFUSED[story]
    headers = change(made(body=b"x"))
    with pytest.raises(NotSigned, match=told) as refused:
        signed("POST", URL, headers, body=b"x")
    assert "key_1" not in str(refused.value)


def test_r42_of_several_signatures_the_named_one_is_read() -> None:
    headers = made()
    headers["Signature-Input"] = f'proxy=("@method");created=1, {headers["Signature-Input"]}'
    headers["Signature"] = f"proxy=:AAAA:, {headers['Signature']}"
    assert checked(signed("POST", URL, headers, label="sig"))


def test_r42_the_parts_of_an_address() -> None:
    parts = ("@scheme", "@authority", "@path", "@query", "@request-target", "@target-uri")
    stories = {
        "https://h": ["https", "h", "/", "?", "/", "https://h"],
        "http://H:80/a%20b?": ["http", "h", "/a%20b", "?", "/a%20b?", "http://H:80/a%20b?"],
        "http://[::1]:8787/x?y=1": ["http", "[::1]:8787", "/x", "?y=1", "/x?y=1", "http://[::1]:8787/x?y=1"],
    }
    for url, expected in stories.items():
        asked = signed("GET", url, made("GET", url, covered=parts), must_cover=parts)
        assert [line.partition(": ")[2] for line in asked["base"].split("\n")[:-1]] == expected, url
        assert checked(asked)


def test_r42_headers_are_signed_as_they_stand() -> None:
    headers = {"X-Account": " acc_7 "}
    sent = headers | made(headers={"x-account": "acc_7"}, covered=("@method", "x-account"))
    assert checked(signed("POST", URL, sent, must_cover=("x-account",)))


def test_a_digest_is_of_the_very_body() -> None:
    assert digest_matches(content_digest(b"a"), b"a")
    assert digest_matches(f"md5=:AAAA:, {content_digest(b'a')}", b"a")
    for header in ("", "sha-256=:AAAA:", "sha-256=:A:", "sha-512=:AAAA:", "nonsense", content_digest(b"b")):
        assert not digest_matches(header, b"a")
