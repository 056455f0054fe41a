import math
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from domain.errors import Invalid
from domain.event import Event
from domain.library.model import (
    ConceptSetAmended,
    ModelArchived,
    ModelCreated,
    ModelForked,
    ModelRenamed,
    ModelReopened,
    VersionNumbered,
)
from domain.training.messages import ConceptLabel
from domain.training.options import resolve_options
from domain.training.version import (
    BestCheckpointSaved,
    DatasetFrozen,
    TrainingStepAdvanced,
    VersionArchived,
    VersionCreated,
    VersionRenamed,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from projections.training.library_queries import (
    SORTS,
    ModelRow,
    VersionFilter,
    VersionRow,
    find_model,
    find_version,
    library,
    list_versions,
)
from projections.training.models_library import MODELS_LIBRARY
from tests.domain.training.version_samples import started
from tests.projections.made_log import MadeLog, at

LABELS = (ConceptLabel("a", "cat"), ConceptLabel("b", "dog"))


def created(model: str, number: int, name: str, architecture: str = "resnet18") -> VersionCreated:
    options = resolve_options("classification", {"architecture": architecture})
    return VersionCreated("p", "v", model, number, name, "classification", LABELS, options, 7)


@pytest.fixture
def log() -> MadeLog:
    return MadeLog()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as opened:
        yield opened


def version_after(
    log: MadeLog, engine: Engine, connection: Connection, *events: Event
) -> VersionRow:
    """The row of a version to which these things happened."""
    log.add("version-x", created("m1", 1, "Version 1"), *events)
    log.follow(engine, [MODELS_LIBRARY])
    row = find_version(connection, "x")
    assert row is not None
    return row


def test_a_model_is_listed_with_all_that_became_of_it(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    log.add("model-m1", ModelCreated("v", "Model 1", ("a",)), ConceptSetAmended(("a", "b")))
    log.add("model-m1", ModelRenamed("Pets"), VersionNumbered("x", 1), ModelArchived())
    log.add("model-m2", ModelForked("v", "Model 2", "m1", ("a",), "removed 'dog'"))
    log.follow(engine, [MODELS_LIBRARY])
    assert find_model(connection, "m1") == ModelRow(
        "m1", "v", "Pets", None, None, ["a", "b"], True, 1, at(1), 1, 5
    )
    assert find_model(connection, "m2") == ModelRow(
        "m2", "v", "Model 2", "m1", "removed 'dog'", ["a"], False, 0, at(6), 6, 1
    )
    assert find_model(connection, "m3") is None
    log.add("model-m1", ModelReopened())
    log.follow(engine, [MODELS_LIBRARY])
    reopened = find_model(connection, "m1")
    assert reopened is not None
    assert (reopened.archived, reopened.revision) == (False, 6)


def test_a_created_version_waits(log: MadeLog, engine: Engine, connection: Connection) -> None:
    row = version_after(log, engine, connection)
    assert (row.status, row.progress, row.attempt, row.revision) == ("queued", 0.0, 1, 1)
    assert (row.indicator, row.checkpoint, row.manifest, row.ended_at) == (None,) * 4
    assert row.images_per_concept is None
    assert row.options == created("m1", 1, "").options
    assert row.concepts == list(LABELS)
    assert (row.log_position, row.created_at, row.created_position) == (7, at(1), 1)


TRAINED: list[Event] = [
    DatasetFrozen("manifest", 8, 2, {"a": 4, "b": 4}, "validates"),
    started(),
    TrainingStepAdvanced("training", "running", 0.5),
    BestCheckpointSaved("sha", 99, "validation_accuracy", 0.9, 1, 0.3),
]


def test_a_cancelled_version_has_no_checkpoint(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    row = version_after(log, engine, connection, *TRAINED, VersionTrainingCancelled())
    assert (row.status, row.ended_at, row.reason) == ("cancelled", at(6), None)
    assert (row.checkpoint, row.checkpoint_bytes) == (None, None)
    assert (row.indicator, row.validation_loss) == (None, None)
    assert row.progress == pytest.approx(0.475)


def test_a_stopped_version_keeps_its_checkpoint(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    end = VersionTrainingCompleted("sha", "weights", 9, "stop")
    row = version_after(log, engine, connection, *TRAINED, end)
    assert (row.status, row.progress, row.ended_at) == ("stopped", 1.0, at(6))
    assert (row.checkpoint, row.final_weights) == ("sha", "weights")


def test_a_version_in_training_shows_how_far_it_is(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    row = version_after(log, engine, connection, *TRAINED)
    assert (row.manifest, row.train_images, row.validation_images) == ("manifest", 8, 2)
    assert (row.validation_set, row.comparable) == ("validates", True)
    assert row.images_per_concept == {"a": 4, "b": 4}
    assert row.status == "training"
    assert row.progress == pytest.approx(0.475)
    assert (row.indicator, row.validation_loss) == (0.9, 0.3)
    assert (row.checkpoint, row.checkpoint_bytes) == ("sha", 99)
    assert row.revision == 5


def test_a_redelivered_version_begins_its_steps_anew(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    row = version_after(log, engine, connection, *TRAINED, started(2))
    assert (row.status, row.progress, row.indicator) == ("preparing", 0.0, 0.9)


def test_versions_on_another_validation_set_than_the_newest_cannot_be_compared(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    for name, held_out in (("a", "old"), ("b", "new"), ("c", "old"), ("d", None), ("e", "new")):
        frozen = DatasetFrozen("manifest", 8, 2, {}, held_out)
        log.add(f"version-{name}", created("m1", 1, name), frozen)
    log.add("version-f", created("m1", 1, "f"))
    log.follow(engine, [MODELS_LIBRARY])
    rows = list_versions(connection, VersionFilter(view_id="v"), sort="oldest")
    assert [row.comparable for row in rows] == [False, True, False, None, True, None]


def test_a_completed_version_is_ready(log: MadeLog, engine: Engine, connection: Connection) -> None:
    done = VersionTrainingCompleted("sha", "weights", 28)
    row = version_after(log, engine, connection, *TRAINED, done, VersionRenamed("Best"))
    assert (row.status, row.progress, row.final_weights) == ("ready", 1.0, "weights")
    assert (row.ended_at, row.name) == (at(6), "Best")


def test_a_failed_version_says_why_until_it_is_retried(
    log: MadeLog, engine: Engine, connection: Connection
) -> None:
    row = version_after(log, engine, connection, *TRAINED, VersionTrainingFailed("no memory"))
    assert (row.status, row.reason, row.ended_at) == ("failed", "no memory", at(6))
    log.add("version-x", VersionRetried(2))
    log.follow(engine, [MODELS_LIBRARY])
    again = find_version(connection, "x")
    assert again is not None
    assert (again.status, again.reason, again.ended_at) == ("queued", None, None)
    assert (again.attempt, again.progress) == (2, 0.0)


INDICATORS = [0.5, None, 0.9, 0.5, 0.5, None, 0.7, 0.9]
LOSSES = [0.2, None, 0.1, 0.1, 0.3]
"""None as in the events of earlier releases."""


@pytest.fixture
def many(log: MadeLog, engine: Engine, connection: Connection) -> Connection:
    """Two models of 12 versions each, with equal indicators, equal names and some archived."""
    for model in ("m1", "m2"):
        log.add(f"model-{model}", ModelCreated("v", model, ("a", "b")))
    for number in range(1, 25):
        model = f"m{1 + number % 2}"
        architecture = "resnet50" if number % 3 == 0 else "resnet18"
        stream = f"version-x{number:02}"
        log.add(stream, created(model, number, f"Name_{number % 5}", architecture))
        indicator = INDICATORS[number % 8]
        if indicator is not None:
            loss = LOSSES[number % 5]
            saved = BestCheckpointSaved("sha", 9, "validation_accuracy", indicator, 1, loss)
            log.add(stream, saved)
        if number % 4 == 0:
            log.add(stream, VersionTrainingFailed("no"), *[VersionArchived()] * (number % 8 == 0))
    log.follow(engine, [MODELS_LIBRARY])
    return connection


def every_page(
    connection: Connection, wanted: VersionFilter, sort: str, size: int
) -> list[VersionRow]:
    rows: list[VersionRow] = []
    while page := list_versions(
        connection, wanted, sort=sort, after=rows[-1].version_id if rows else None, limit=size
    ):
        assert len(page) <= size
        rows += page
    return rows


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("wanted", [VersionFilter(archived=True), VersionFilter(model_id="m1")])
def test_every_sort_pages_through_every_version_once(
    many: Connection, sort: str, wanted: VersionFilter
) -> None:
    whole = list_versions(many, wanted, sort=sort, limit=1000)
    assert len(whole) == (24 if wanted.archived else 9)
    for size in (1, 4, 5):
        assert every_page(many, wanted, sort, size) == whole


def test_versions_are_sorted_as_asked(many: Connection) -> None:
    def sorted_by(sort: str) -> list[VersionRow]:
        return list_versions(many, VersionFilter(archived=True), sort=sort)

    positions = [row.created_position for row in sorted_by("newest")]
    assert positions == sorted(positions, reverse=True)
    assert [row.created_position for row in sorted_by("oldest")] == sorted(positions)
    best = [
        (
            -1 if row.indicator is None else row.indicator,
            -math.inf if row.validation_loss is None else -row.validation_loss,
        )
        for row in sorted_by("best")
    ]
    assert best == sorted(best, reverse=True)
    assert len(set(best)) > len({indicator for indicator, _ in best})
    names = [row.name for row in sorted_by("name")]
    assert names == sorted(names)
    assert [row.name for row in sorted_by("-name")] == sorted(names, reverse=True)
    losses = [
        math.inf if row.validation_loss is None else row.validation_loss
        for row in sorted_by("loss")
    ]
    assert losses == sorted(losses)


def test_an_unknown_sort_is_refused(many: Connection) -> None:
    with pytest.raises(Invalid) as refused:
        list_versions(many, VersionFilter(), sort="worst")
    assert refused.value.field == "sort"


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (VersionFilter(), 21),
        (VersionFilter(archived=True), 24),
        (VersionFilter(view_id="v"), 21),
        (VersionFilter(view_id="w"), 0),
        (VersionFilter(status="failed"), 3),
        (VersionFilter(status="failed", archived=True), 6),
        (VersionFilter(architecture="resnet50", archived=True), 8),
        (VersionFilter(name="e_1", archived=True), 5),
        (VersionFilter(name="NAME", archived=True), 24),
        (VersionFilter(name="%", archived=True), 0),
    ],
)
def test_versions_are_filtered(many: Connection, wanted: VersionFilter, count: int) -> None:
    assert len(list_versions(many, wanted)) == count


def test_the_library_has_models_newest_first_with_their_newest_versions(many: Connection) -> None:
    rows = library(many, "v", versions_each=3)
    assert [row.model.model_id for row in rows] == ["m2", "m1"]
    assert [row.number for row in rows[0].versions] == [23, 21, 19]
    assert [row.number for row in rows[1].versions] == [22, 20, 18]
    assert [one.number for one in library(many, "v", archived=True)[1].versions][:2] == [24, 22]


def test_the_library_pages_and_hides_what_is_archived(
    log: MadeLog, engine: Engine, many: Connection
) -> None:
    log.add("model-m2", ModelArchived())
    log.follow(engine, [MODELS_LIBRARY])
    assert [row.model.model_id for row in library(many, "v")] == ["m1"]
    first = library(many, "v", archived=True, limit=1)
    rest = library(many, "v", archived=True, before=first[0].model.created_position)
    assert [row.model.model_id for row in first + rest] == ["m2", "m1"]
    assert library(many, "elsewhere") == []
