"""Secrets leave over HTTPS only; the certificate follows its files; proxies are believed only where they are listed."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from keyturn.core.allowlist import Matcher
from keyturn.edge.secure import is_secure
from tests.certificate import self_signed
from tests.serving import Serving

PROXIES = Matcher(("192.0.2.0/24", "2001:db8::/32"))


def _scope(peer: str, *, scheme: str = "http", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"client": (peer, 1), "scheme": scheme, "headers": pairs}


SECURE = {
    "https from anywhere": (_scope("203.0.113.9", scheme="https"), True),
    "plain from anywhere": (_scope("203.0.113.9"), False),
    "plain to this machine": (_scope("127.0.0.1"), True),
    "plain to this machine over IPv6": (_scope("::1"), True),
    "a listed proxy that says https": (_scope("192.0.2.1", headers={"x-forwarded-proto": "https"}), True),
    "a listed proxy that says http": (_scope("192.0.2.1", headers={"x-forwarded-proto": "http"}), False),
    "a listed proxy that says nothing": (_scope("192.0.2.1"), False),
    "a listed proxy that says two things": (_scope("192.0.2.1", headers={"x-forwarded-proto": "https, http"}), False),
    "somebody who says https": (_scope("203.0.113.9", headers={"x-forwarded-proto": "https"}), False),
}


@pytest.mark.parametrize("story", SECURE)
def test_k11_whether_an_answer_may_hold_a_secret(story: str) -> None:
    scope, secure = SECURE[story]
    assert is_secure(scope, PROXIES) is secure


def test_k11_a_listed_proxy_that_does_not_say_https_gets_no_secret(tmp_path: Path) -> None:
    (tmp_path / "keyturn.toml").write_text('trusted_proxies = ["127.0.0.0/8"]\n')
    with _served(tmp_path, "--config", str(tmp_path / "keyturn.toml")) as server:
        https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
        made = server.call("/v1/keys", {"name": "x", "allowlist": ["198.51.100.7"]}, headers=https).body
        before = len(server.call("/v1/keys").body["items"])
        for path, body in (
            ("/v1/keys", {"name": "x"}),
            (f"/v1/keys/{made['id']}/resets", {"reason": "leaked"}),
            ("/v1/self/reset", {}),
            ("/v1/sessions", {"user": "x", "password": "x"}),
        ):
            refused = server.call(path, body)
            assert (refused.status, refused.body["code"]) == (403, "https_required"), path
        assert len(server.call("/v1/keys").body["items"]) == before
        assert server.call(f"/v1/keys/{made['id']}").body["version"] == 1
        # The same proxy's word on the address decides over the allowlist of the key that is verified for a gateway.
        asked = {"X-Keyturn-Credential": server.admin_key}
        assert server.call("/v1/authz", key=made["secret"], headers=asked | https).status == HTTPStatus.OK
        elsewhere = asked | {"X-Forwarded-For": "198.51.100.7, 198.51.100.8"}
        refused = server.call("/v1/authz", key=made["secret"], headers=elsewhere)
        assert (refused.status, refused.headers["x-keyturn-code"]) == (403, "ip_not_allowed")


def test_a_certificate_is_read_again_when_it_changes(tmp_path: Path) -> None:
    first = self_signed(tmp_path, "first")
    shown = first.der
    with _served(tmp_path, *first.flags, tls=True) as server:
        assert _peer_certificate(server.port) == shown
        assert server.create(name="over TLS")["secret"]
        first.certificate.write_text("not a certificate")
        time.sleep(1.5)
        assert _peer_certificate(server.port) == shown  # a broken one is not taken
        second = self_signed(tmp_path, "second").der
        until = time.monotonic() + 10
        while _peer_certificate(server.port) != second:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert server.stop() == 0


def test_a_certificate_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data", flags=["--tls-cert", "missing.crt", "--tls-key", "missing.key"])
    with pytest.raises(RuntimeError, match=r"missing\.crt .* cannot be used"):
        server.start()


@contextmanager
def _served(tmp_path: Path, *flags: str, tls: bool = False) -> Iterator[Serving]:
    server = Serving(folder=tmp_path / "data", flags=flags, tls=tls).start()
    try:
        yield server
    finally:
        server.kill()


def _peer_certificate(port: int) -> bytes:
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return ssl.PEM_cert_to_DER_cert(pem)
