"""What a process with parts of the backend says of them on a port of its own."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.health.conditions import WELL, PartHealth
from adapters.health.heartbeats import SILENT_SECONDS, Heartbeats
from adapters.health.own_port import own_registry
from adapters.health.own_servers import OwnServers
from adapters.services import BLOBS, NATS, SERVICES
from adapters.settings import Settings

FAILED_LATELY_SECONDS = 30.0


class OwnParts(Collector):
    """Reads what the parts' threads have said to the heart that beats for them."""

    def __init__(self, settings: Settings, beats: Heartbeats, names: Iterable[str]) -> None:
        self._beats, self._names = beats, list(names)
        self._servers = OwnServers(settings, "stemma health")

    def registry(self) -> CollectorRegistry:
        registry = own_registry()
        registry.register(self)
        return registry

    def checks(self) -> Mapping[str, PartHealth]:
        """Each part, and each server that one of them cannot do without."""
        found = {name: self._part(name) for name in self._names}
        found["database"] = self._database()
        needed = {server for name in self._names for server in SERVICES[name].needs}
        if NATS in needed:
            found["nats"] = self._servers.nats()
        if BLOBS in needed:
            found["blobs"] = self._servers.blobs()
        return found

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "stemma_process_part_up", "1 if the part runs in this process", labels=["part"]
        )
        failures = CounterMetricFamily(
            "stemma_process_part_failures",
            "How often the part had to begin again in this process",
            labels=["part"],
        )
        for name in self._names:
            up.add_metric([name], float(self._part(name) == WELL))
            failures.add_metric([name], self._beats.failures_of(name)[0])
        yield up
        yield failures
        yield GaugeMetricFamily(
            "stemma_process_silent_seconds",
            "Since the database last took a sign of life of this process",
            value=self._beats.silent(),
        )

    def _part(self, name: str) -> PartHealth:
        if not self._beats.runs(name):
            return PartHealth("failed", "has ended")
        failures, ago = self._beats.failures_of(name)
        if ago is not None and ago < FAILED_LATELY_SECONDS:
            return PartHealth("failed", f"failed {ago:.0f} s ago, {failures} times in all")
        return WELL

    def _database(self) -> PartHealth:
        silent = self._beats.silent()
        if silent < SILENT_SECONDS:
            return WELL
        return PartHealth("failed", f"PostgreSQL has taken no sign of life for {silent:.0f} s")
