"""`GET /metrics`: this process's counters, and the present state of the database and NATS."""

from collections.abc import Iterable, Iterator

from litestar import Controller, Response, get
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.health.heartbeats import SILENT_SECONDS
from adapters.health.overview import Snapshot
from adapters.services import SERVICES
from api.access.rights import needs
from api.http.counters import Metrics
from api.http.parameters import HttpRequest, Served
from api.operations.health import health_of
from domain.access.roles import Right


class MetricsController(Controller):
    """Metrics."""

    tags = ("System",)

    @get(
        "/metrics",
        summary="Metrics for Prometheus",
        opt=needs(Right.READ, anywhere=True),
        media_type="text/plain",
    )
    async def get_service_metrics(self, request: HttpRequest, backend: Served) -> Response[bytes]:
        """Metrics in the text format, without those of services that do not answer within two
        seconds."""
        metrics: Metrics = request.app.state.metrics
        registry = CollectorRegistry()
        registry.register(_SnapshotCollector(await backend.overview.snapshot()))
        text = generate_latest(metrics.registry) + generate_latest(registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        yield from _of_health(self._snapshot)
        yield from _of_positions(self._snapshot)
        yield from _of_signing(self._snapshot)
        yield from _of_parts(self._snapshot)
        yield from _of_jobs(self._snapshot)
        yield from _of_webhooks(self._snapshot)


def _of_health(snapshot: Snapshot) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "stemma_up", "1 if the service is healthy, as in /health/ready", labels=["part"]
    )
    for part, health in health_of(snapshot).parts.items():
        up.add_metric([part], float(health.status == "ok"))
    yield up


def _of_positions(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.database is None:
        return
    yield GaugeMetricFamily("stemma_log_position", "The log's end", value=snapshot.database.head)
    position = GaugeMetricFamily(
        "stemma_position", "The position of a service in the log, or in REPORTS", labels=["part"]
    )
    behind = GaugeMetricFamily(
        "stemma_behind",
        "Events that a service still has to process; for ingest, reports",
        labels=["part"],
    )
    for standing in snapshot.lags:
        position.add_metric([standing.part], standing.position)
        behind.add_metric([standing.part], standing.behind)
    yield position
    yield behind


def _of_signing(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.database is None:
        return
    unsigned = max(snapshot.database.head - snapshot.database.signed, 0)
    yield GaugeMetricFamily(
        "stemma_log_unsigned_events", "Events that no checkpoint covers yet", value=unsigned
    )
    if (seconds := snapshot.database.unsigned_seconds) is not None:
        yield GaugeMetricFamily(
            "stemma_log_unsigned_seconds",
            "The age of the first event that no checkpoint covers yet",
            value=seconds,
        )


def _of_parts(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.database is None:
        return
    running = GaugeMetricFamily(
        "stemma_part_processes", "Processes in which a service sends heartbeats", labels=["part"]
    )
    failures = CounterMetricFamily(
        "stemma_part_failures", "How often a service restarted", labels=["part"]
    )
    for part in SERVICES:
        signs = [
            sign
            for sign in snapshot.database.heartbeats
            if sign.part == part and sign.silent <= SILENT_SECONDS
        ]
        running.add_metric([part], len(signs))
        failures.add_metric([part], sum(sign.failures for sign in signs))
    yield running
    yield failures


def _of_jobs(snapshot: Snapshot) -> Iterator[Metric]:
    if snapshot.pool is None:
        return
    jobs = GaugeMetricFamily("stemma_jobs", "Training jobs on the queue", labels=["state"])
    jobs.add_metric(["waiting"], snapshot.pool.waiting)
    jobs.add_metric(["in_work"], snapshot.pool.in_work)
    yield jobs
    workers = snapshot.pool.workers
    yield GaugeMetricFamily("stemma_workers", "Workers online", value=len(workers))
    yield GaugeMetricFamily(
        "stemma_workers_in_trouble",
        "Workers that keep failing at the same step",
        value=sum(worker.trouble != "" for worker in workers),
    )


def _of_webhooks(snapshot: Snapshot) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "stemma_webhook_behind",
        "Events after the webhook's position, filtered or not",
        labels=["webhook", "state"],
    )
    failures = GaugeMetricFamily(
        "stemma_webhook_failures", "Consecutive failed deliveries", labels=["webhook"]
    )
    for standing in snapshot.webhooks or []:
        webhook_id = standing.endpoint.webhook_id
        behind.add_metric([webhook_id, standing.endpoint.webhook.state], standing.behind)
        failures.add_metric([webhook_id], standing.place.failures)
    yield behind
    yield failures
