"""What an application may read in another way than the middleware does, before the real server: never let through.

Each request here reached an application without a key, or with one that may do less, before it was refused.
"""

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from tests.middleware.conftest import Site
from tests.middleware.program import Application, running
from tests.middleware.test_applications import assert_refused


@pytest.fixture(scope="module", params=["patterns of fastapi", "patterns of django"])
def patterns(request: pytest.FixtureRequest, site: Site) -> Iterator[Application]:
    """Applications that find what is asked for by patterns that end in `$`."""
    with running(request.param, keyturn=[site.keyturn.url], credential=site.credential) as started:
        yield started


@pytest.mark.parametrize("behind", ["%0a", "%0A", "%0d", "%0d%0a", "%00", "%7f", "%c2%85", "%e2%80%a8", "%5c", "%252f"])
def test_what_stands_behind_a_path_makes_it_no_other(site: Site, patterns: Application, behind: str) -> None:
    """A `$` lets an end of line pass, so `/orders%0a` is `/orders` to many an application."""
    key = site.secret(permissions=["orders:read"])
    assert patterns.call("/health").text.strip('"') == "reached"
    assert_refused(patterns.call("/orders", method="DELETE"), 401, "unauthenticated")
    assert_refused(patterns.call(f"/orders{behind}", method="DELETE"), 401, "unauthenticated")
    assert_refused(patterns.call(f"/orders{behind}", method="DELETE", key=key), 403, "permission_missing")
    assert_refused(patterns.call(f"/health{behind}"), 401, "unauthenticated")


@pytest.fixture(scope="module", params=["flask on gunicorn", "patterns of django on gunicorn"])
def on_gunicorn(request: pytest.FixtureRequest, site: Site) -> Iterator[Application]:
    """As it is without any setting, believing whoever comes from this machine."""
    with running(request.param, keyturn=[site.keyturn.url], credential=site.credential) as started:
        yield started


@pytest.mark.parametrize(
    ("path", "header"), [("/health/orders", ("SCRIPT_NAME", "/health")), ("/health", ("PATH_INFO", "/orders"))]
)
def test_no_header_says_where_the_path_begins(
    site: Site, on_gunicorn: Application, path: str, header: tuple[str, str]
) -> None:
    """Gunicorn takes SCRIPT_NAME from a header; `/health` is open, and so is what stands below it."""
    key = site.secret(permissions=["orders:read"])
    assert on_gunicorn.call(key=key).status == HTTPStatus.OK
    assert on_gunicorn.call("/health").status == HTTPStatus.OK
    for shown in ("", key):
        assert_refused(on_gunicorn.call(path, method="DELETE", key=shown, headers=[header]), 400, "invalid_header")
