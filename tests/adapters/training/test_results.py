"""Results of trainings are checked and measured before their versions are ready."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.loading import load_blob
from adapters.training.policy_feed import put_manifest
from adapters.training.results import Measurer
from application.log.store import Store
from application.training import results, versions
from application.training.ingest import Delivered, Ingest
from application.training.policies import REACTS_TO, Effects, react
from application.training.policies import version_of as state_of
from domain.aggregates import VERSION
from domain.event import Event
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    Completed,
    EpochMetrics,
    Evaluated,
    ManifestLine,
    SplitFigures,
    Started,
    StepAdvanced,
)
from domain.training.results import VersionResultMeasured
from domain.training.version import (
    READY,
    CancelVersion,
    Version,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)
from tests.adapters.running import eventually, running, settings_for
from tests.application.scenes import do, trainable
from tests.application.training.reports import delivered, reports, sha, whole_run
from tests.servers import Database

WEIGHTS = b"any weights at all"
SURE = 0.875
LOSS, ERROR = 0.13353139262452263, 0.125


class World:
    """A version whose dataset is frozen, and what its worker reports of it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.blobs_url = f"file://{folder}"
        self.blobs = BlobStore.from_url(self.blobs_url)
        self.version = trainable(store).train()
        effects = Effects(partial(put_manifest, self.blobs), lambda _: None)
        for recorded in store.read_all(names=REACTS_TO):
            react(store, effects, recorded)
        frozen = self.state.frozen
        assert frozen is not None
        content = b"".join(self.blobs.read_compressed(frozen.manifest))
        self.lines = msgspec.json.Decoder(ManifestLine).decode_lines(content)
        self.weights = self.blobs.put(WEIGHTS)

    @property
    def state(self) -> Version:
        return state_of(self.store, self.version)

    @property
    def events(self) -> list[Event]:
        stream = VERSION.stream(self.version)
        return [recorded.event for recorded in self.store.streams([stream])[stream]]

    def predictions(self, *, wrong: int = 0, left_out: int = 0) -> str:
        """A file of scores: right and fairly sure for every image, but for some of validation."""
        concepts = [concept.concept_id for concept in self.state.created.concepts]
        lines = sorted(self.lines, key=lambda line: line.split, reverse=True)  # validation first
        scores = []
        for number, line in enumerate(lines):
            true = concepts.index(line.concepts[0])
            sure = [SURE if place == true else 1 - SURE for place in range(len(concepts))]
            scores.append(sure[::-1] if number < wrong else sure)
        images = [line.image for line in lines]
        file = pa.BufferOutputStream()
        kept = len(lines) - left_out
        pq.write_table(pa.table({"image": images[:kept], "scores": scores[:kept]}), file)
        return self.blobs.put(file.getvalue().to_pybytes())

    def run(self, predictions: str | None = None) -> list[AnyReport]:
        """Every report of a good run."""
        frozen = self.state.frozen
        assert frozen is not None
        metrics = SplitFigures(images=0, loss=LOSS, accuracy=1.0, calibration_error=ERROR)
        validation = msgspec.structs.replace(metrics, images=frozen.validation_images)
        train = msgspec.structs.replace(metrics, images=frozen.train_images)
        file = predictions or self.predictions()

        def own(body: AnyReport) -> AnyReport:
            match body:
                case Evaluated():
                    return Evaluated(self.weights, validation, train, file)
                case CheckpointSaved():
                    size = len(WEIGHTS)
                    return msgspec.structs.replace(body, checkpoint=self.weights, bytes=size)
                case Completed():
                    return msgspec.structs.replace(body, checkpoint=self.weights)
            return body

        return [own(body) for body in whole_run()]

    def take(self, run: Sequence[AnyReport], attempt: int = 1) -> None:
        sent = delivered(reports(self.version, run, attempt=attempt))
        Ingest(self.store, f"feed {attempt}").take(sent)

    def react(self) -> None:
        measurer = Measurer(self.blobs, self.blobs_url, threading.Event())
        for recorded in self.store.read_all(names=results.REACTS_TO):
            results.react(self.store, measurer, recorded)

    @property
    def reason(self) -> str:
        """Why it failed, which is its last event."""
        failed = self.events[-1]
        assert isinstance(failed, VersionTrainingFailed), failed
        return failed.reason


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


def test_a_right_result_makes_the_version_ready(
    world: World, migrated: Database, nats_url: str
) -> None:
    settings = settings_for(migrated, nats_url)
    left = f"resume/{world.version}"  # by a worker that was killed after its last report
    world.blobs.put_scratch(f"{left}/000001-000001", b"")
    with running(msgspec.structs.replace(settings, blobs_url=world.blobs_url), "results"):
        world.take(world.run())
        eventually(lambda: world.state.status == READY)
        eventually(lambda: world.blobs.list_scratch(left) == [])
    measured, completed = world.events[-2:]
    assert isinstance(measured, VersionResultMeasured)
    assert measured.differences == ()
    assert measured.validation.accuracy == 1.0
    assert measured.validation.loss == pytest.approx(LOSS, abs=1e-9)
    assert measured.train.calibration_error == pytest.approx(ERROR)
    assert isinstance(completed, VersionTrainingCompleted)
    joined = load_blob(world.blobs, measured.predictions)
    assert sorted(joined.images.ids) == sorted(line.image for line in world.lines)


def test_what_is_measured_stands_beside_what_was_reported(world: World) -> None:
    world.take(world.run(world.predictions(wrong=1)))
    world.react()
    measured = world.events[-2]
    assert isinstance(measured, VersionResultMeasured)
    count = measured.validation.images
    assert measured.validation.accuracy == 1 - 1 / count
    found = {(one.split, one.metric): one for one in measured.differences}
    assert found.keys() == {
        ("validation", "accuracy"),
        ("validation", "loss"),
        ("validation", "calibration_error"),
    }
    accuracy = found["validation", "accuracy"]
    assert (accuracy.reported, accuracy.measured) == (1.0, 1 - 1 / count)
    assert world.state.evaluated is not None
    assert world.state.evaluated.validation == measured.validation


def without(kind: type[AnyReport], *places: int) -> Callable[[World], list[AnyReport]]:
    """A run without the reports of a kind at these places among them, or without all."""

    def run(world: World) -> list[AnyReport]:
        count, kept = -1, []
        for body in world.run(sha(7)):
            count += isinstance(body, kind)
            if not isinstance(body, kind) or (places and count not in places):
                kept.append(body)
        return kept

    return run


def changed(kind: type[AnyReport], **fields: object) -> Callable[[World], list[AnyReport]]:
    def run(world: World) -> list[AnyReport]:
        return [
            msgspec.structs.replace(body, **fields) if isinstance(body, kind) else body
            for body in world.run(sha(7))
        ]

    return run


WRONG: list[tuple[Callable[[World], list[AnyReport]], str]] = [
    (lambda world: [world.run(sha(7))[0], world.run(sha(7))[-1]], "did not report how many"),
    (without(Started), "did not report the start"),
    (without(BatchMetrics, 0), "0 of 8 iterations have a loss"),
    (without(BatchMetrics, 1), "4 of 8 iterations have a loss"),
    (without(EpochMetrics, 1), "1 of 2 epochs have metrics"),
    (without(EpochMetrics), "0 of 2 epochs have metrics"),
    (without(CheckpointSaved), "is not the one that it reported as the best"),
    (without(Evaluated), "reported no predictions"),
    (changed(Completed, iterations=4), "4 iterations at the end, and 8 at the beginning"),
    (changed(Completed, iterations=9), "9 iterations at the end, and 8 at the beginning"),
    (changed(Completed, ended_by="luck"), "'luck'; it must be"),
    (changed(Completed, checkpoint=sha(5)), "is not the one that it reported as the best"),
    (changed(Evaluated, checkpoint=sha(5)), "reported no predictions"),
    (changed(CheckpointSaved, bytes=1), "18 bytes, and 1 were reported"),
    (lambda world: world.run(world.predictions(left_out=1)), "rows, and the frozen dataset has"),
    (lambda world: world.run(sha(7)), "the predictions cannot be read"),
    (lambda world: world.run(world.blobs.put(b"\x80\x04K\x01.")), "cannot be read"),
]


@pytest.mark.parametrize(("run", "says"), WRONG)
def test_a_wrong_result_fails_with_what_is_wrong(
    world: World, run: Callable[[World], list[AnyReport]], says: str
) -> None:
    world.take(run(world))
    world.react()
    assert "the result was refused" in world.reason
    assert says in world.reason


def test_a_checkpoint_that_is_not_stored_fails(world: World) -> None:
    lost = [
        msgspec.structs.replace(body, checkpoint=sha(5))
        if isinstance(body, CheckpointSaved | Evaluated | Completed)
        else body
        for body in world.run(sha(7))
    ]
    world.take(lost)
    world.react()
    assert f"{sha(5)} is not in the blob store" in world.reason


@pytest.mark.parametrize("loss", [b"null", b"NaN", b"1e999", b'"low"'])
def test_a_refused_report_is_recorded_and_named_when_its_gap_fails_the_version(
    world: World, loss: bytes
) -> None:
    sent = delivered(reports(world.version, world.run(sha(7))))
    spoilt = [
        Delivered(one.sequence, one.payload.replace(b'"validation_loss":0.5', _loss(loss)))
        for one in sent
    ]
    assert [one.payload for one in spoilt] != [one.payload for one in sent]
    Ingest(world.store, "feed").take(spoilt)
    names = [event.event_name for event in world.events]
    assert names.count("version.report_refused") == 2  # the second epoch leaves a gap
    world.react()
    assert "0 of 2 epochs have metrics" in world.reason
    assert "(epoch_metrics)" in world.reason


def _loss(value: bytes) -> bytes:
    return b'"validation_loss":' + value


def test_a_delivery_that_fills_the_gap_makes_the_version_ready(world: World) -> None:
    run = world.run()
    early = [body for body in run[:8] if not isinstance(body, BatchMetrics)]
    world.take(early)
    again = delivered(reports(world.version, run, delivery=2), first=100)
    Ingest(world.store, "again").take(again)
    world.react()
    assert world.state.status == READY


def test_a_result_is_decided_on_once(world: World) -> None:
    world.take(changed(Completed, ended_by="luck")(world))
    world.react()
    ended = world.events
    world.react()
    assert world.events == ended
    do(world.store, lambda s: versions.retry_version(s, world.version))
    world.react()
    assert len(world.events) == len(ended) + 1
    world.take(world.run(), attempt=2)
    world.react()
    assert world.state.status == READY


def test_a_version_that_was_cancelled_meanwhile_stays_so(world: World) -> None:
    world.take(world.run(sha(7)))
    do(world.store, lambda s: s.change(VERSION, world.version, CancelVersion()))
    world.react()
    assert isinstance(world.events[-1], VersionTrainingCancelled)


def test_nothing_is_recorded_between_the_end_and_its_check(world: World) -> None:
    world.take(world.run(sha(7)))
    count = len(world.events)
    late = reports(world.version, [StepAdvanced("saving", "running", 0.5)], delivery=1)
    Ingest(world.store, "late").take(delivered(late))
    assert len(world.events) == count
