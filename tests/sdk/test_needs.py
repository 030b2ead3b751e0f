"""What a request needs, by method and path; what nothing is said of is refused."""

from typing import Any

import pytest

from keyturn.sdk.needs import OPEN, Needs, Wanted, finder

BY_PATH: Needs = {
    "/orders": "orders",
    "DELETE /orders": "orders:admin",
    "/orders/export/": ["orders", "billing:read"],
    "/health": OPEN,
    "/me": (),
    "WEBSOCKET /live": "orders:write",
}
OF_GET: dict[str, Any] = {"/": "a", "GET /x": "b:admin"}
_ACTIONS = {"PUT": "admin"}
STORIES: dict[str, tuple[Needs, str, str, Wanted]] = {
    "a resource is read": ("orders", "GET", "/x", ("orders:read",)),
    "also by HEAD": ("orders", "HEAD", "/x", ("orders:read",)),
    "also by OPTIONS": ("orders", "OPTIONS", "/x", ("orders:read",)),
    "else written": ("orders", "POST", "/x", ("orders:write",)),
    "a method that is none of the three is not": ("orders", "get", "/x", ("orders:write",)),
    "nor is one nobody knows": ("orders", "FROB", "/x", ("orders:write",)),
    "a permission is meant whatever the method": ("orders:admin", "GET", "/x", ("orders:admin",)),
    "a word that is short for others is a resource": ("admin", "GET", "/x", ("admin:read",)),
    "one of keyturn's own rights": ("keyturn.verify", "POST", "/x", ("keyturn.verify",)),
    "all of several": (["orders", "billing:read"], "POST", "/x", ("orders:write", "billing:read")),
    "any key": ((), "POST", "/x", ()),
    "no key": (OPEN, "POST", "/x", OPEN),
    "by path": (BY_PATH, "GET", "/orders", ("orders:read",)),
    "and what is below": (BY_PATH, "PATCH", "/orders/7/lines", ("orders:write",)),
    "but not beside": (BY_PATH, "GET", "/orders-export", None),
    "with a slash behind": (BY_PATH, "GET", "/orders/", ("orders:read",)),
    "the longest path counts": (BY_PATH, "GET", "/orders/export/7", ("orders:read", "billing:read")),
    "with its method before without": (BY_PATH, "DELETE", "/orders/7", ("orders:admin",)),
    "however it is written": (BY_PATH, "delete", "/orders/7", ("orders:admin",)),
    "the longer path before the method": (BY_PATH, "DELETE", "/orders/export", ("orders:write", "billing:read")),
    "open by path": (BY_PATH, "GET", "/health", OPEN),
    "any key by path": (BY_PATH, "GET", "/me", ()),
    "a method that was not named": (BY_PATH, "GET", "/live", None),
    "what was not named": (BY_PATH, "GET", "/", None),
    "a root for all": ({"/": "a"}, "GET", "/x/y", ("a:read",)),
    "the root itself": ({"/": "a"}, "GET", "/", ("a:read",)),
    "an empty part": ({"/": "a", "/x/y": "b"}, "GET", "/x//y", None),
    "two slashes before": ({"/": "a"}, "GET", "//x", None),
    "two slashes behind": ({"/": "a"}, "GET", "/x//", None),
    "a dot": ({"/": "a", "/x/y": "b"}, "GET", "/x/./y", None),
    "two dots": ({"/": "a", "/x": "b"}, "GET", "/y/../x", None),
    "a backslash": ({"/": "a", "/x": "b"}, "GET", "/y\\x", None),
    "the end of a line": ({"/": "a", "/x": "b"}, "GET", "/x\n", None),
    "or of one in Unicode": ({"/": "a", "/x": "b"}, "GET", "/x\u2028", None),
    "another control": ({"/": "a", "/x": "b"}, "GET", "/x\x85", None),
    "what was encoded twice": ({"/": "a", "/x": "b"}, "GET", "/y/%2E%2e/x", None),
    "but not every percent": ({"/": "a"}, "GET", "/100%/%41", ("a:read",)),
    "nor what is not ASCII": ({"/": "a", "/caf\xe9": "b"}, "GET", "/caf\xe9/\u200c x", ("b:read",)),
    "HEAD as GET does": (OF_GET, "HEAD", "/x", ("a:read", "b:admin")),
    "in small letters too": (OF_GET, "head", "/x", ("a:write", "b:admin")),
    "OPTIONS likewise": (OF_GET, "OPTIONS", "/x", ("a:read", "b:admin")),
    "but not where it is named": (OF_GET | {"OPTIONS /": OPEN}, "OPTIONS", "/x", OPEN),
    "HEAD under what is open to GET": ({"/": "a", "GET /x": OPEN}, "HEAD", "/x", ("a:read",)),
    "HEAD where GET alone is named": ({"GET /x": "a"}, "HEAD", "/x", None),
    "HEAD of a function": (lambda method, _: "a:admin" if method == "GET" else OPEN, "HEAD", "/", ("a:admin",)),
    "an end of a line, of a function": (lambda *_: OPEN, "GET", "/x\n", None),
    "dots, of a function": (lambda *_: OPEN, "GET", "/x/../y", None),
    "nothing at all": ({}, "GET", "/", None),
    "a function": (
        lambda method, path: f"{path[1:]}:{'admin' if method == 'PUT' else 'read'}",
        "put",
        "/a",
        ("a:admin",),
    ),
    "a function that refuses": (lambda *_: None, "GET", "/", None),
    "a function that opens": (lambda *_: OPEN, "GET", "/", OPEN),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_a_request_needs(story: str) -> None:
    needs, method, path, wanted = STORIES[story]
    assert finder(needs)(method, path) == wanted


WRONG: list[Needs] = [
    "",
    "Orders",
    "orders:delete",
    ["orders", ""],
    "keyturn.nothing",
    {"orders": "orders"},
    {"/a": "A"},
    {"get /a": "a"},
    {"/a//b": "a"},
    {"/a/../b": "a"},
    {"/a\nb": "a"},
    {"": "a"},
]


@pytest.mark.parametrize("needs", WRONG, ids=repr)
def test_what_is_no_need_is_said_at_the_start(needs: Needs) -> None:
    with pytest.raises(ValueError, match="not a"):
        finder(needs)


def test_a_function_that_answers_nonsense_is_a_bug_and_lets_nothing_through() -> None:
    with pytest.raises(ValueError, match="not a permission"):
        finder(lambda *_: "Orders!")("GET", "/")


def test_a_need_that_can_be_read_once_is_kept() -> None:
    find = finder(iter(["a", "b:read"]))
    assert [find("GET", "/") for _ in range(2)] == [("a:read", "b:read")] * 2
