"""What keyturn's HTTP figure is held against: a FastAPI route, written as one would, that does the same verification.

A program of its own: `python -m keyturn.bench.plain_route PORT`.  It knows whatever key it is first asked about.
"""

import sys
import time
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict

from keyturn.bench.verify import NOW, key_state
from keyturn.core import permission
from keyturn.core.instant import from_micros, to_text
from keyturn.core.limit import parse
from keyturn.core.secret import fingerprint
from keyturn.verify.decision import MISS, Verdict
from keyturn.verify.memory import Fill
from keyturn.verify.verifier import Verifier


class Question(BaseModel):
    """The body of `POST /v1/verify`."""

    model_config = ConfigDict(extra="forbid")
    key: str
    permissions: list[str] = []
    ip: str | None = None


def build() -> FastAPI:
    """The application."""
    app = FastAPI()
    verifier = Verifier()
    verifier.start_at(rev=0, now=NOW)

    def ask(key: str, **asked: Any) -> Verdict:  # noqa: ANN401  # what verify takes
        now = max(NOW, time.time_ns() // 1000)  # noqa: TID251  # a program that is measured
        verdict = verifier.verify(key, now=now, **asked)
        if verdict is MISS:
            state = key_state(len(verifier), limit=parse("1000000000/1h"))
            verifier.fill(fingerprint(key), Fill(rev=0, state=state, version=1), now=now)
            verdict = verifier.verify(key, now=now, **asked)
        return verdict

    @app.post("/v1/verify")
    async def verify(question: Question, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
        if not ask(authorization.removeprefix("Bearer "), ip="198.51.100.1").valid:
            raise HTTPException(401)
        wanted = permission.parse_set(question.permissions)
        verdict = ask(question.key, permissions=wanted, ip=question.ip)
        seen = verdict.view
        if seen is None:
            return {"valid": False, "code": verdict.code}
        return {
            "valid": verdict.valid,
            "code": verdict.code,
            "key_id": seen.key_id,
            "account_id": seen.account_id,
            "owner_id": seen.owner_id,
            "environment": seen.environment,
            "permissions": verdict.profile.permissions,
            "version": seen.version,
            "expires_at": to_text(from_micros(seen.expires)),
        }

    return app


if __name__ == "__main__":
    uvicorn.run(build(), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)
