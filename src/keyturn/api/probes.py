"""`/livez`, `/readyz`, `/metrics`: for supervisors and Prometheus.  No secret and no id in any of them."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from keyturn.api.problem import problem, problem_headers
from keyturn.edge.metrics import CONTENT_TYPE
from keyturn.edge.outage import of_outage
from keyturn.edge.visit import Surroundings
from keyturn.ports.store import StoreUnavailable

router = APIRouter(include_in_schema=False)
_PROBE: Final = ["GET", "HEAD"]


@router.api_route("/livez", methods=_PROBE)
async def livez() -> dict[str, str]:
    """Alive while it serves."""
    return {"status": "alive"}


@router.api_route("/readyz", methods=_PROBE, response_model=None)
async def readyz(request: Request) -> dict[str, Any] | Response:
    """Ready while it can answer: from the database, or at least from memory."""
    around: Surroundings = request.app.state.around
    node = around.node
    try:
        await run_in_threadpool(node.store.read, lambda tx: tx.now)
    except StoreUnavailable as error:
        leased = node.membership.holder.look(node.membership.boot())[1]
        if leased and len(node.verifier):
            return {"status": "ready", "store": "away", "answers": "from memory; changes are refused"}
        refusal = of_outage(error)
        told = problem(refusal, base_url=node.settings.base_url)
        told |= {"store": "away", "answers": f"none: {'nothing is in memory' if leased else 'the lease is over'}"}
        return JSONResponse(told, status_code=refusal.status, headers=problem_headers(refusal))
    return {"status": "ready", "store": "here"}


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    around: Surroundings = request.app.state.around
    return Response(around.metrics.text(), media_type=CONTENT_TYPE)
