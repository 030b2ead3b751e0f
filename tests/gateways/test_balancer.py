"""A gateway behind a load balancer believes that one and nobody else, with the page's own lines (pitfall 12)."""

import re
import textwrap
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from tests.gateways.conftest import Site, stood_up
from tests.gateways.program import CADDY, ENVOY, FILES, HAPROXY, NGINX, Kind

BALANCER, HOME, AWAY = "127.0.0.9", "127.0.0.7", "127.0.0.8"
PLACES: Final = {  # the language of the block in the page, and the line of the file that it comes after, or replaces
    NGINX.name: ("nginx", "    listen 127.0.0.1:8080;", True),
    HAPROXY.name: ("haproxy", "    bind 127.0.0.1:8080", True),
    ENVOY.name: ("yaml", "use_remote_address: true", False),
    CADDY.name: ("caddyfile", "\t\t\turi /v1/authz", True),
}


def told_by_the_page(kind: Kind) -> dict[str, str]:
    """What the page says to write, for a balancer at its address here."""
    language, place, after = PLACES[kind.name]
    page = (FILES.parent / "gateways.md").read_text()
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (line,) = [line for line in (FILES / kind.files[0]).read_text().splitlines() if place in line]
    indent = re.match(r"\s*", line)
    assert indent is not None
    written = textwrap.indent(block.replace("192.0.2.10", BALANCER), indent[0])
    return {line: f"{line}\n{written}" if after else written}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "keyturn.toml").write_text(f'trusted_proxies = ["{BALANCER}"]\n')
    with stood_up(folder, "--config", str(folder / "keyturn.toml")) as site:
        yield site


def test_pitfall_12_only_the_balancer_is_believed(site: Site, kind: Kind, tmp_path: Path) -> None:
    key = site.secret(permissions=["api:read"], allowlist=[HOME])
    stories = {  # the connection's address, what it says of where the request comes from, what becomes of it
        "the caller, through the balancer": (BALANCER, HOME, HTTPStatus.OK),
        "who claims another address, through the balancer": (BALANCER, f"{HOME}, {AWAY}", HTTPStatus.FORBIDDEN),
        "the caller, who claims another address": (BALANCER, f"{AWAY}, {HOME}", HTTPStatus.OK),
        "a balancer that says nothing": (BALANCER, "", HTTPStatus.FORBIDDEN),
        "a balancer that says no address": (BALANCER, f"{HOME}, nonsense", HTTPStatus.FORBIDDEN),
        "past the balancer": (AWAY, HOME, HTTPStatus.FORBIDDEN),
        "the caller, past the balancer": (HOME, AWAY, HTTPStatus.OK),
    }
    with site.behind(kind, tmp_path / kind.name, faults=told_by_the_page(kind)) as gateway:
        for story, (whence, said, status) in stories.items():
            headers = [("X-Forwarded-For", said)] if said else []
            answer, came = site.heard(gateway, key=key, whence=whence, headers=headers)
            assert answer.status == status, (story, answer)
            assert len(came) == (status == HTTPStatus.OK), story
