"""A server for all tests of the verifier, and a verifier attached to it."""

from collections.abc import Iterator

import pytest

from keyturn.sdk import Verifier
from tests.sdk.verifying import LONG
from tests.serving import Serving


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    one = Serving(folder=tmp_path_factory.mktemp("verifier") / "data").start()
    account = one.call("/v1/accounts").body["items"][-1]["id"]
    one.call(f"/v1/accounts/{account}", {"max_keys_per_user": 100_000}, method="PATCH")
    yield one.leased()
    one.kill()


@pytest.fixture(scope="package")
def credential(server: Serving) -> str:
    secret: str = server.create(name="verifier", permissions=["keyturn.attach"])["secret"]
    return secret


@pytest.fixture
def verifier(server: Serving, credential: str) -> Iterator[Verifier]:
    with Verifier(server.url, credential) as one:
        assert one.wait_until_leased(LONG)
        yield one
