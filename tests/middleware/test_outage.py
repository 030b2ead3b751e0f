"""The node is killed: every application goes on until its lease ends, and then lets nothing through (F3)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.middleware.conftest import Site, made
from tests.middleware.program import Application, running
from tests.middleware.test_applications import assert_refused

LONG = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Its own keyturn, to be killed."""
    one = made(tmp_path)
    yield one
    one.keyturn.kill()


def test_f3_without_a_node_the_lease_is_lived_out_and_nothing_let_through_after_it(site: Site) -> None:
    key = site.secret(permissions=["orders:read"])
    other = site.secret(permissions=["orders:read"])
    with ExitStack() as stack:
        applications = {
            name: stack.enter_context(running(name, keyturn=[site.keyturn.url], credential=site.credential))
            for name in ("asgi", "fastapi", "wsgi", "flask", "django", "django on asgi")
        }
        for application in applications.values():
            _until(application, key, HTTPStatus.OK)
        site.keyturn.kill()
        for name, application in applications.items():
            assert application.call(key=key).status == HTTPStatus.OK, name
        for application in applications.values():
            assert_refused(application.call(key=other), 503, "lease_lapsed")  # not in memory: nobody knows
        for application in applications.values():
            _until(application, key, HTTPStatus.SERVICE_UNAVAILABLE)
            assert_refused(application.call(key=key), 503, "lease_lapsed")
            assert application.call("/health").status == HTTPStatus.OK


def _until(application: Application, key: str, status: int) -> None:
    end = time.monotonic() + LONG
    while application.call(key=key).status != status:
        assert time.monotonic() < end
        time.sleep(0.02)
