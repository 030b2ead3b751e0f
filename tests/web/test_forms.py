"""No form of ours can be sent by another site, and no page of ours can be framed, whichever it is."""

import json
from typing import Any

import pytest
from starlette.routing import Route

from keyturn.web.app import _PLACES
from keyturn.web.door import DASHBOARD
from keyturn.web.route import House as WebHouse
from tests.web.house import House
from tests.web.person import Person

NOWHERE: Any = None  # where a page lies depends on nothing that a server has
ROUTES = [place(WebHouse(NOWHERE, NOWHERE, NOWHERE, DASHBOARD)) for place in _PLACES]
URLENCODED = "application/x-www-form-urlencoded"


def paths(method: str) -> list[str]:
    """Every address that takes this method, with something plausible in place of what it leaves open."""
    return sorted({path_of(route) for route in ROUTES if method in (route.methods or ())})


def path_of(route: Route) -> str:
    return route.path_format.format_map(dict.fromkeys(route.param_convertors, "x"))


def encoded(fields: dict[str, str]) -> bytes:
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


def multipart(fields: dict[str, str]) -> bytes:
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    return f"{parts}--x--\r\n".encode()


@pytest.fixture(scope="module")
def person(house: House) -> Person:
    """Somebody signed in, who is never signed out by anything here."""
    one = house.signed_in()
    one.see("/account")
    return one


@pytest.fixture(scope="module")
def other(house: House) -> Person:
    """Somebody else's browser."""
    one = house.person()
    one.see("/")
    return one


@pytest.mark.parametrize("path", paths("POST"))
def test_what_another_site_sends_changes_nothing(house: House, person: Person, other: Person, path: str) -> None:
    good = {"csrf": person.csrf, "sure": "yes", "name": "x", "reason": "leaked", "language": "de"}
    before = house.counted()
    for story, body, headers, status in (
        ("without a token", encoded(good | {"csrf": ""}), {}, 403),
        ("with another browser's token", encoded(good | {"csrf": other.csrf}), {}, 403),
        ("as text", encoded(good), {"content-type": "text/plain"}, 415),
        ("as multipart", multipart(good), {"content-type": "multipart/form-data; boundary=x"}, 415),
        ("as JSON", json.dumps(good).encode(), {"content-type": "application/json"}, 415),
        ("without a type", encoded(good), {"content-type": ""}, 415),
        ("from another site", encoded(good), {"sec-fetch-site": "cross-site"}, 403),
        ("from another host of the site", encoded(good), {"sec-fetch-site": "same-site"}, 403),
        ("from another origin", encoded(good), {"origin": "https://evil.example"}, 403),
        ("from no origin", encoded(good), {"origin": "null"}, 403),
    ):
        answer = person.client.post(path, content=body, headers={"content-type": URLENCODED} | headers)
        assert answer.status_code == status, (story, answer.text)
        assert "set-cookie" not in answer.headers, story
    assert house.counted() == before


@pytest.mark.parametrize("path", paths("GET"))
def test_no_page_can_be_framed_kept_or_scripted(person: Person, other: Person, path: str) -> None:
    for reader in (person, other):
        answer = reader.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


@pytest.mark.parametrize("path", paths("GET"))
def test_head_is_get_without_its_body(house: House, person: Person, path: str) -> None:
    before = house.counted()
    head, get = person.client.head(path), person.client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert house.counted() == before


def test_every_page_is_looked_at_here() -> None:
    assert len(paths("POST")) > 40
    assert len(paths("GET")) > 20
