"""Health and metrics of a backend process, for its own port."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.health.health import HEALTHY, PartHealth
from adapters.health.heartbeats import SILENT_SECONDS, Heartbeats
from adapters.health.own_port import own_registry
from adapters.health.own_servers import OwnServers
from adapters.services import BLOBS, NATS, SERVICES
from adapters.settings import Settings

FAILED_LATELY_SECONDS = 30.0


class OwnParts(Collector):
    """Reads the state that the threads of the parts have recorded in `Heartbeats`."""

    def __init__(self, settings: Settings, heartbeats: Heartbeats, names: Iterable[str]) -> None:
        self._heartbeats, self._names = heartbeats, list(names)
        self._servers = OwnServers(settings, "stemma health")

    def registry(self) -> CollectorRegistry:
        registry = own_registry()
        registry.register(self)
        return registry

    def checks(self) -> Mapping[str, PartHealth]:
        """The health of each part, and of each server that a part needs."""
        checks = {name: self._part(name) for name in self._names}
        checks["database"] = self._database()
        needed = {server for name in self._names for server in SERVICES[name].needs}
        if NATS in needed:
            checks["nats"] = self._servers.nats()
        if BLOBS in needed:
            checks["blobs"] = self._servers.blobs()
        return checks

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "stemma_process_part_up", "1 if the part runs in this process", labels=["part"]
        )
        failures = CounterMetricFamily(
            "stemma_process_part_failures",
            "How often the service restarted in this process",
            labels=["part"],
        )
        for name in self._names:
            up.add_metric([name], float(self._part(name) == HEALTHY))
            failures.add_metric([name], self._heartbeats.failures_of(name)[0])
        yield up
        yield failures
        yield GaugeMetricFamily(
            "stemma_process_silent_seconds",
            "Seconds since the database last accepted a heartbeat of this process",
            value=self._heartbeats.silent(),
        )

    def _part(self, name: str) -> PartHealth:
        if not self._heartbeats.runs(name):
            return PartHealth("failed", "has ended")
        failures, ago = self._heartbeats.failures_of(name)
        if ago is not None and ago < FAILED_LATELY_SECONDS:
            return PartHealth("failed", f"failed {ago:.0f} s ago, {failures} times in all")
        return HEALTHY

    def _database(self) -> PartHealth:
        silent = self._heartbeats.silent()
        if silent < SILENT_SECONDS:
            return HEALTHY
        return PartHealth("failed", f"PostgreSQL has accepted no heartbeat for {silent:.0f} s")
