"""What the server counts, in a registry of its own: no secret, no id and no raw path is a label."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from keyturn.core.delivery import Means
from keyturn.core.reset import Reason
from keyturn.edge.node import Node

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


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
        for reason in Reason:
            self.minted.labels(reason.value)  # a series that begins at 0 can be watched for its first
        self.outages = Counter(
            "keyturn_store_outages", "Requests answered 503 for want of the database.", registry=self.registry
        )
        self.registry.register(_OfVerifier(node))
        self.registry.register(_OfTeller(node))

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


class _OfTeller(Collector):
    """What waits to be told, and what came of each attempt; no address and no id in it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        teller = self._node.teller
        tried = CounterMetricFamily("keyturn_deliveries", "Attempts to tell, by result.", labels=("means", "result"))
        for (means, result), count in sorted(teller.counts.items(), key=str):
            tried.add_metric((means.value, result), count)
        yield tried
        waiting = GaugeMetricFamily("keyturn_outbox_waiting", "What waits to be told.", labels=("means",))
        oldest = GaugeMetricFamily("keyturn_outbox_oldest_seconds", "How long the oldest waits.", labels=("means",))
        backlog = {one.means: one for one in teller.backlog}
        now = self._node.clock.now()
        for means in Means:
            one = backlog.get(means)
            waiting.add_metric((means.value,), one.waiting if one else 0)
            oldest.add_metric((means.value,), max(0.0, (now - one.oldest_at).total_seconds()) if one else 0.0)
        yield waiting
        yield oldest
