"""K11, R3: a secret is found nowhere but in its one answer, after a whole run from end to end.

Every secret that a run hands out is searched for in the database's files, the log, the metrics, every other answer and
the process's own command line and environment.
"""

import json
import re
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from keyturn.core.own_secret import is_presentable
from keyturn.core.secret import fingerprint
from keyturn.outside.forge import SystemForge, load_peppers
from tests.postgres import Postgres
from tests.serving import Answer, Serving


def test_k11_pitfall_10_a_secret_is_found_nowhere_but_in_its_one_answer(tmp_path: Path) -> None:
    server = Serving(folder=tmp_path / "data", whole=True).start()
    try:
        secrets, answers = _run(server)
        places = _places(server)
        assert server.stop() == 0
    finally:
        server.kill()
    files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    _assert_absent(secrets, answers, places | files, may_hold_admin=str(tmp_path / "data" / "admin.key"))


def test_k11_nor_in_postgresql_or_its_log(own_postgres: Postgres, tmp_path: Path) -> None:
    database = own_postgres.create_database()
    server = Serving(folder=tmp_path / "data", database_url=own_postgres.url(database), whole=True).start()
    try:
        secrets, answers = _run(server)
        places = _places(server)
        assert server.stop() == 0
    finally:
        server.kill()
    own_postgres.stop()
    files = {str(path): path.read_bytes() for path in own_postgres.folder.rglob("*") if path.is_file()}
    files |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    _assert_absent(secrets, answers, places | files, may_hold_admin=str(tmp_path / "data" / "admin.key"))


OWN, NEXT = "tr4wl-Kettle.9/Quay~moss+Hinge77x", "Plum:brisk44-Orbit~vane/Tusk.81q"
_WISH: dict[str, Any] = {"name": "own", "policy": "choosing", "label": "canary", "own_secret": OWN}


def _bring(server: Serving) -> tuple[list[str], list[Answer]]:
    """R42: a secret that the customer chose, at every place that takes one."""
    server.call("/v1/policies", {"name": "choosing", "own_secret": "allowed"})
    once = {"Idempotency-Key": "canary-own"}
    made = server.call("/v1/keys", _WISH, headers=once)
    assert made.status == HTTPStatus.CREATED, made.text
    resets = f"/v1/keys/{made.body['id']}/resets"
    following = {"reason": "routine", "grace": "1h", "own_secret": NEXT}
    presented = [f"kt_own_canary_{one}" for one in (OWN, NEXT)]
    answers = [
        made,
        server.call("/v1/keys", _WISH, headers=once),
        server.call("/v1/keys", _WISH | {"label": "other"}),
        server.call("/v1/keys", _WISH | {"own_secret": [OWN]}),
        server.call("/v1/keys", _WISH | {"own_secret": OWN, OWN: OWN}),
        server.call("/v1/keys", _WISH | {"name": presented[0], "label": OWN}),
        server.call("/v1/verify", {"key": presented[0]}),
        server.call("/v1/verify", {"key": presented[0]}),
        server.call("/v1/verify", {"key": presented[0] + "?"}),
        server.call(resets, following, headers={"Idempotency-Key": "canary-next"}),
        server.call(resets, following),
        server.call("/v1/keys", key=presented[1]),
        server.call(f"/v1/keys/{presented[0]}"),
        server.call(f"/v1/keys?owner_id={presented[0]}"),
        server.call("/v1/audit?limit=200"),
    ]
    return [*presented, OWN, NEXT], answers


def _quick_digests(folder: Path) -> set[bytes]:
    """What an own secret could be guessed by at leisure, were it kept anywhere, by whoever has the peppers too."""
    asked = json.dumps(["POST", "/v1/keys", _WISH], sort_keys=True, separators=(",", ":"))
    found = {sha256(one.encode()).digest() for one in (OWN, NEXT, asked)}
    found.add(SystemForge(load_peppers(folder)[0]).derived("request", asked))
    return found | {one.hex().encode() for one in found}


def _run(server: Serving) -> tuple[list[str], list[Answer]]:
    """Everything a secret passes through, the refusals too; the secrets, and the answers that must not hold any."""
    made = server.create(permissions=["*:read", "keyturn.keys:reset"])
    first = made["secret"]
    reset = server.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine"}, headers={"Idempotency-Key": "canary"})
    second = reset.body["secret"]
    secrets = [server.admin_key, first, second]
    answers = [
        server.call(f"/v1/keys/{made['id']}/resets", {"reason": "routine"}, headers={"Idempotency-Key": "canary"}),
        server.call("/v1/verify", {"key": first}),
        server.call("/v1/verify", {"key": second}),
        server.call("/v1/verify", {"key": second, second: second}),
        server.call("/v1/verify", f'{{"key": "{second}'.encode()),
        server.call("/v1/keys", {"name": second, "permissions": [second], "nonsense": second}),
        server.call("/v1/keys", {"name": "x", second: 1}),
        server.call(f"/v1/keys/{second}"),
        server.call(f"/v1/keys?key={second}"),
        server.call(f"/v1/keys?owner_id={second}"),
        server.call(f"/{second}"),
        server.call("/v1/self/reset", {"reason": "leaked"}, key=second),
        server.call("/v1/keys", key=second + "x"),
        server.call("/v1/keys", headers={"Authorization": f"Basic {second}"}),
        server.call(f"/v1/keys/{made['id']}"),
        server.call("/v1/audit?limit=200"),
        server.call("/v1/policies/explain?key_id=" + made["id"]),
        server.call("/v1/self/revoke", {}, key=second),
        server.call("/v1/keys", key=second),
    ]
    user = server.call("/v1/users", {"email": "canary@example.com", "password": "canary pass phrase of length"})
    assert user.status == HTTPStatus.CREATED, user.text
    signed_in = server.call("/v1/sessions", {"user": "canary@example.com", "password": "canary pass phrase of length"})
    secrets += [signed_in.body["token"], "canary pass phrase of length"]
    answers.append(server.call("/v1/sessions", {"user": "canary@example.com", "password": "canary pass phrase!"}))
    brought, shown = _bring(server)
    return [*secrets, *brought], [*answers, user, *shown]


def _places(server: Serving) -> dict[str, bytes]:
    process = Path(f"/proc/{server.pid}")
    return {
        "metrics": server.call("/metrics").text.encode(),
        "openapi": server.call("/openapi.json").text.encode(),
        "command line": (process / "cmdline").read_bytes(),
        "environment": (process / "environ").read_bytes(),
    }


def _random_part(secret: str) -> str:
    """What follows the prefix of a key, or of a token, whose own random part may hold an underscore."""
    prefix = re.match(r"kt[a-z]*_(live_)?", secret)
    return secret[prefix.end() :] if prefix else secret


def _assert_absent(secrets: list[str], answers: list[Answer], places: dict[str, bytes], *, may_hold_admin: str) -> None:
    places = places | {f"answer {at}": answer.text.encode() for at, answer in enumerate(answers)}
    places |= {f"headers {at}": repr(dict(answer.headers)).encode() for at, answer in enumerate(answers)}
    for at, secret in enumerate(secrets):
        # The whole secret, its random part alone, and what a verifier looks it up by: none may lie anywhere.
        marks = {secret.encode(), _random_part(secret).encode()}
        if is_presentable(secret):
            marks.add(fingerprint(secret))
        if secret == OWN:
            marks |= _quick_digests(Path(may_hold_admin).parent)
        for name, content in places.items():
            if at == 0 and name == may_hold_admin:
                continue
            for mark in marks:
                assert mark not in content, f"secret {at} lies in {name}"
