"""`/livez`, `/readyz`, `/metrics`: for supervisors and Prometheus.  No secret and no id in any of them."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool

from keyturn.api.node import Node
from keyturn.ports import StoreUnavailable

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
router = APIRouter(include_in_schema=False)


class Metrics:
    """The server's own registry."""

    def __init__(self, node: Node) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "keyturn_http_request_seconds",
            "Control-plane requests by route template, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.minted = Counter(
            "keyturn_resets_minted", "Resets that made a new secret, by reason.", ("reason",), registry=self.registry
        )
        self.outages = Counter(
            "keyturn_store_outages", "Requests answered 503 for want of the database.", registry=self.registry
        )
        self.registry.register(_OfVerifier(node))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _OfVerifier(Collector):
    """What the verifier counts by itself, read when it is asked for."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        verifier = self._node.verifier
        answered = CounterMetricFamily("keyturn_verifications", "Verifications answered, by code.", labels=("code",))
        for code, count in sorted(verifier.counts.items()):
            answered.add_metric((code,), count)
        yield answered
        yield GaugeMetricFamily("keyturn_cached_secrets", "Secrets answered from memory.", len(verifier))
        yield GaugeMetricFamily("keyturn_applied_rev", "Feed revision applied.", verifier.applied_rev)


@router.get("/livez")
async def livez() -> dict[str, str]:
    """Alive while it serves."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Ready while it can answer: from the database, or at least from memory."""
    node: Node = request.app.state.around.node
    try:
        await run_in_threadpool(node.store.read, lambda tx: tx.now)
    except StoreUnavailable:
        if len(node.verifier):
            return {"status": "ready", "store": "away", "answers": "from memory; changes are refused"}
        response.status_code = 503
        return {"status": "not ready", "store": "away", "answers": "none: nothing is in memory"}
    return {"status": "ready", "store": "here"}


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)
