"""The code of a version's trainer, as its worker declares it in the log, and what differs between
two."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.training.source_code import FileDifference, differences, read_archive
from application.log.store import END, Store
from domain.aggregates import VERSION
from domain.errors import Conflict, NotFound
from domain.event import name_of
from domain.training.version import (
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    VersionTrainingStarted,
)

_OFTEN = [
    name_of(event) for event in (BatchMetricsRecorded, EpochMetricsRecorded, TrainingStepAdvanced)
]


class DeclaredCode(msgspec.Struct, frozen=True):
    """What the worker of a version's last start declares of its code. Nobody has checked it.

    `source` is the sha256 of the archive of the code, null if there is none.
    """

    version_id: str
    environment: dict[str, str]
    source: str | None


class FactDifference(msgspec.Struct, frozen=True):
    """A declared fact whose values differ; null where it is not declared."""

    fact: str
    first: str | None
    second: str | None


class CodeComparison(msgspec.Struct, frozen=True):
    """What differs between the declared code of two versions. `files` is null unless both have an
    archive of it."""

    first: DeclaredCode
    second: DeclaredCode
    facts: list[FactDifference]
    files: Annotated[list[FileDifference] | None, msgspec.Meta(description="By their paths")]


def declared_code(store: Store, version_id: str, at: int | None = None) -> DeclaredCode:
    """Raises `NotFound`."""
    stream = VERSION.stream(version_id)
    events = store.histories([stream], upto=END if at is None else at, without=_OFTEN)
    if not events:
        raise NotFound("version not found")
    started = [r.event for r in events if isinstance(r.event, VersionTrainingStarted)]
    if not started:
        return DeclaredCode(version_id, {}, None)
    return DeclaredCode(version_id, started[-1].environment, started[-1].source)


def compare_code(store: Store, blobs: BlobStore, first_id: str, second_id: str) -> CodeComparison:
    """Raises `NotFound`, and `Conflict` for an archive that cannot be read."""
    first, second = declared_code(store, first_id), declared_code(store, second_id)
    files: list[FileDifference] | None = None
    if first.source is not None and second.source is not None:
        files = []
        if first.source != second.source:
            before, after = (
                read_archive(read_source(blobs, each)) for each in (first.source, second.source)
            )
            files = differences(before, after)
    return CodeComparison(first, second, _facts(first.environment, second.environment), files)


def read_source(blobs: BlobStore, source: str) -> bytes:
    """The bytes of an archive. Raises `Conflict`."""
    try:
        return blobs.get(source)
    except (BlobMissing, BlobCorrupt) as error:
        raise Conflict(f"the archive that was declared cannot be read: {error}") from error


def _facts(before: Mapping[str, str], after: Mapping[str, str]) -> list[FactDifference]:
    return [
        FactDifference(fact, before.get(fact), after.get(fact))
        for fact in {**before, **after}
        if before.get(fact) != after.get(fact)
    ]
