"""The served OpenAPI document describes what the server does: schemathesis tries it, and finds no 5xx."""

import os
import re
from http import HTTPStatus
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.serving import Serving

EXAMPLES = 12 if os.environ.get("KEYTURN_TEST_FULL") == "1" else 5


def test_openapi_is_3_1_and_served_with_an_offline_viewer(api: Serving) -> None:
    document = api.call("/openapi.json").body
    assert document["openapi"].startswith("3.1")
    assert {"/v1/keys", "/v1/verify", "/v1/authz", "/v1/resets/{reset_id}/mint"} <= document["paths"].keys()
    assert api.call("/openapi.json", method="HEAD").status == HTTPStatus.OK
    page = api.call("/docs")
    assert page.status == HTTPStatus.OK
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for mark in ("<script", "style="):
        assert mark not in page.text, mark
    assert not re.findall(r"""(?:src|href|srcset|action)\s*=\s*["']?\s*(?:[a-z]+:)?//(?!127\.0\.0\.1)""", page.text)
    assert all(path in page.text for path in document["paths"])


def test_every_problem_type_leads_to_a_page(api: Serving) -> None:
    refused = api.call("/v1/keys", {})
    page = api.call(refused.body["type"])
    assert (page.status, refused.body["code"] in page.text) == (HTTPStatus.OK, True)
    assert api.call("/problems/nonsense").status == HTTPStatus.NOT_FOUND


def test_schemathesis_finds_no_server_error(api: Serving) -> None:
    address = f"http://127.0.0.1:{api.port}"
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    administrator = api.create(permissions=["keyturn.admin"])["secret"]
    headers = {"Authorization": f"Bearer {administrator}"}
    tried = 0

    operations = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]  # ours is valid
    # Once the key has revoked itself nothing else would be tried.
    for operation in sorted(operations, key=lambda one: one.path == "/v1/self/revoke"):
        assert operation.path == "/v1/self/revoke" or api.call("/v1/self", key=administrator).status == HTTPStatus.OK

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: schemathesis.Case[Any]) -> None:
            answer = case.call(base_url=address, headers=headers)
            assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, answer.text

        attempt()
        tried += 1
    assert tried > 20
