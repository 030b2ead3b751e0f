"""One keyturn for the tests of a file, an API that keeps what came, and each gateway in between, in turn."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.program import KINDS, Gateway, Kind, running
from tests.loopback import Loopback, Reply, Request
from tests.serving import Answer, Serving


@dataclass(frozen=True, kw_only=True)
class Site:
    """What stands on either side of a gateway."""

    keyturn: Serving
    api: Loopback
    credential: str
    """The gateways' own."""

    def behind(
        self,
        kind: Kind,
        folder: Path,
        *,
        keyturn: int = 0,
        api: int = 0,
        faults: Mapping[str, str] | None = None,
        limits: bool = False,
    ) -> AbstractContextManager[Gateway]:
        """A gateway of the test's own, with another keyturn or API, with faults in its files, or with their limits."""
        return running(
            kind,
            folder,
            keyturn=keyturn or self.keyturn.port,
            api=api or self.api.port,
            credential=self.credential,
            faults=faults or {},
            limits=limits,
        )

    def secret(self, **wish: Any) -> str:
        """The secret of a new key."""
        return str(self.keyturn.create(**wish)["secret"])

    def heard(self, gateway: Gateway, *path: str, **asked: Any) -> tuple[Answer, list[Request]]:
        """What the gateway answers, and what the API heard of the request."""
        before = len(self.api.heard)
        answer = gateway.call(*path, **asked)
        return answer, self.api.heard[before:]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The two, with nothing in between yet."""
    with stood_up(tmp_path_factory.mktemp("site")) as stands:
        yield stands


@contextmanager
def stood_up(folder: Path, *flags: str) -> Iterator[Site]:
    """The two, the server with these flags."""
    server = Serving(folder=folder / "data", flags=flags).start()
    try:
        account = server.call("/v1/accounts").body["items"][-1]["id"]
        server.call(f"/v1/accounts/{account}", {"max_keys_per_user": 100_000}, method="PATCH")
        credential = server.create(name="gateway", permissions=["keyturn.verify"])["secret"]
        with Loopback(_answer) as api:
            yield Site(keyturn=server, api=api, credential=credential)
    finally:
        server.kill()


def _answer(_: Request) -> Reply:
    return Reply(body={"orders": []})


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each of the four whose program is here."""
    return here(request.param)


def here(kind: Kind) -> Kind:
    """This one, or the test is skipped."""
    if kind.missing:
        pytest.skip(kind.missing)
    return kind


@pytest.fixture(scope="module")
def gateway(kind: Kind, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Each of the four, before the API."""
    with site.behind(kind, tmp_path_factory.mktemp("gateway") / kind.name) as started:
        yield started
