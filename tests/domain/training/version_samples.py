"""A version's history and its worker's reports, as stories need them."""

from datetime import UTC, datetime

from domain.training.manifest import ManifestCounts
from domain.training.messages import AnyReport, ConceptLabel, Report
from domain.training.options import resolve_options
from domain.training.version import CreateVersion, VersionCreated, VersionTrainingStarted

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONCEPTS = (ConceptLabel("c1", "cat"), ConceptLabel("c2", "dog"))
OPTIONS = resolve_options("classification", {"architecture": "resnet18", "width": 32, "height": 32})
COUNTS = ManifestCounts(8, 2, {"c1": 4, "c2": 4}, "validates")
CREATE = CreateVersion("p", "v", "m", 3, None, "classification", CONCEPTS, OPTIONS, COUNTS, 17)
CREATED = VersionCreated("p", "v", "m", 3, "Version 3", "classification", CONCEPTS, OPTIONS, 17)


def started(
    delivery: int = 1, *, attempt: int = 1, resumed_from: int = 0
) -> VersionTrainingStarted:
    return VersionTrainingStarted(attempt, delivery, "w1", "cpu", {"torch": "2"}, resumed_from)


def report(
    body: AnyReport,
    *,
    attempt: int = 1,
    delivery: int = 1,
    version_id: str = "x",
    sequence: int = 1,
    worker: str = "w1",
) -> Report:
    return Report(version_id, attempt, delivery, sequence, AT, worker, "correlation", body)
