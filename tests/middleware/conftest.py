"""One keyturn for the tests of a file, and each example application before it, in turn."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings

from keyturn.sdk import Verifier
from tests.middleware.program import APPLICATIONS, Application, running
from tests.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Site:
    """A keyturn, and the file with the applications' own credential."""

    keyturn: Serving
    credential: Path

    def secret(self, **wish: Any) -> str:
        """The secret of a new key."""
        return str(self.keyturn.create(**wish)["secret"])


def made(folder: Path) -> Site:
    """A new one; its keyturn is the caller's to kill."""
    server = Serving(folder=folder / "data").start()
    account = server.call("/v1/accounts").body["items"][-1]["id"]
    server.call(f"/v1/accounts/{account}", {"max_keys_per_user": 100_000}, method="PATCH")
    credential = folder / "verifier.key"
    credential.write_text(server.create(name="verifier", permissions=["keyturn.attach"])["secret"])
    return Site(keyturn=server, credential=credential)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One keyturn."""
    one = made(tmp_path_factory.mktemp("site"))
    yield one
    one.keyturn.kill()


@pytest.fixture(scope="module")
def verifier(site: Site) -> Iterator[Verifier]:
    """One in this process, which holds a lease."""
    with Verifier(site.keyturn.url, credential_file=site.credential) as one:
        assert one.wait_until_leased(60)
        yield one


@pytest.fixture(scope="module", name="made")
def key_that_writes(site: Site) -> dict[str, Any]:
    """As it was made."""
    return site.keyturn.create(permissions=["orders:write"])


@pytest.fixture(scope="session")
def django_settings() -> None:
    """Django in this process, once."""
    settings.configure(ALLOWED_HOSTS=["*"])
    django.setup()


@pytest.fixture(scope="module", params=APPLICATIONS)
def application(request: pytest.FixtureRequest, site: Site) -> Iterator[Application]:
    """Each of them; nobody's word on an address is believed."""
    with running(request.param, keyturn=[site.keyturn.url], credential=site.credential) as started:
        yield started
