"""Where a request may be read in several ways, each of them needs what it needs."""

import pytest

from keyturn.sdk.needs import OPEN, Needs, Wanted, finder
from keyturn.sdk.readings import Otherwise, wanted, within

BY_PATH: Needs = {"/orders": "orders", "DELETE /orders": "orders:admin", "/v1/admin": "admin", "/health": OPEN}


def by_function(_method: str, path: str) -> str | None:
    """Says something of two paths."""
    return {"/orders": "orders", "/v1/admin": "admin:admin"}.get(path)


@pytest.mark.parametrize(
    ("path", "routed", "otherwise"),
    [
        ("/v1/orders", "/orders", Otherwise(whole="/v1/orders")),
        ("/v1", "", Otherwise(whole="/v1")),
        ("/v1/v1/orders", "/v1/orders", Otherwise(whole="/v1/v1/orders")),
        ("/orders", "/orders", Otherwise()),
        ("/v1orders", "/v1orders", Otherwise(paths=("orders",))),
        ("/health/v1/orders", "/health/v1/orders", Otherwise(paths=("/orders",))),
    ],
)
def test_how_a_path_at_a_prefix_may_be_read(path: str, routed: str, otherwise: Otherwise) -> None:
    assert within("/v1", path) == (routed, otherwise)


@pytest.mark.parametrize(
    ("needs", "method", "path", "otherwise", "need"),
    [
        (BY_PATH, "GET", "/orders", None, ("orders:read",)),
        (BY_PATH, "GET", "/orders", Otherwise(), ("orders:read",)),
        (BY_PATH, "GET", "/orders", Otherwise(methods=("DELETE",)), ("orders:read", "orders:admin")),
        (BY_PATH, "GET", "/orders", Otherwise(methods=("POST", "GET")), ("orders:read", "orders:write")),
        (BY_PATH, "GET", "/health", Otherwise(paths=("/orders",)), ("orders:read",)),
        (
            BY_PATH,
            "GET",
            "/health",
            Otherwise(methods=("DELETE",), paths=("/orders",)),
            ("orders:read", "orders:admin"),
        ),
        (BY_PATH, "GET", "/health", Otherwise(paths=("/elsewhere",)), None),
        (BY_PATH, "GET", "/health", Otherwise(whole="/v1/health"), OPEN),
        (BY_PATH, "GET", "/health", Otherwise(whole="/v1/admin/health"), ("admin:read",)),
        (BY_PATH, "GET", "/health", Otherwise(whole="/v1//health"), None),
        (BY_PATH, "GET", "/admin", Otherwise(whole="/v1/admin"), None),
        ("orders", "GET", "/x", Otherwise(methods=("PUT",), whole="/v1/x"), ("orders:read", "orders:write")),
        (by_function, "GET", "/orders", Otherwise(paths=("/v1/admin",)), ("orders:read", "admin:admin")),
        (by_function, "GET", "/orders", Otherwise(whole="/v1/admin"), ("orders:read", "admin:admin")),
        (by_function, "GET", "/orders", Otherwise(whole="/v1/orders"), None),
    ],
)
def test_each_way_counts(needs: Needs, method: str, path: str, otherwise: Otherwise | None, need: Wanted) -> None:
    """Of the path with its prefix only what is said of it; a function says something of every path, or refuses."""
    assert wanted(finder(needs), method, path, otherwise) == need
