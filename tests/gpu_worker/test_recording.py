"""The recording of items: which images, once an epoch, and nothing else changes by it."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import AnyReport, EpochItems, EpochMetrics, Evaluated
from gpu_worker.sample import sample_of, stratified
from tests.gpu_worker.at_hand import prepare, train_version
from tests.gpu_worker.conftest import Reference
from tests.gpu_worker.recomputed import items_of
from tests.gpu_worker.samples import (
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    coloured_job,
    figures,
    final_weights,
    of_type,
)

SAMPLE = 30


class Killed(Exception):
    pass


@pytest.fixture
def nats_url() -> str:
    return ""


def test_recording_changes_neither_weights_nor_metrics(uninterrupted: Reference) -> None:
    plain, recorded = uninterrupted(), uninterrupted(recorded_images=SAMPLE)
    assert of_type(EpochItems, plain) == []
    epochs = of_type(EpochItems, recorded)
    assert [(epoch.epoch, epoch.iteration, epoch.rows) for epoch in epochs] == [
        (1, 5, SAMPLE),
        (2, 10, SAMPLE),
    ]
    assert figures(recorded) == figures(plain)
    assert of_type(EpochMetrics, recorded) == of_type(EpochMetrics, plain)
    assert final_weights(recorded) == final_weights(plain)


def test_a_worker_that_dies_between_file_and_report_records_the_same(
    uninterrupted: Reference, settings: Settings, blobs: BlobStore
) -> None:
    reference = of_type(EpochItems, uninterrupted(recorded_images=SAMPLE))
    job = coloured_job(blobs, recorded_images=SAMPLE)
    said: list[AnyReport] = []
    stored: list[str] = []

    def die(report: AnyReport) -> None:
        if isinstance(report, EpochItems):
            stored.append(report.items)
            assert blobs.has(report.items), "the file is there before its report"
            raise Killed
        said.append(report)

    with pytest.raises(Killed):
        train_version(job, 1, settings, blobs, die)
    train_version(job, 2, settings, blobs, said.append)
    assert stored == [reference[0].items]
    assert [(epoch.epoch, epoch.items) for epoch in of_type(EpochItems, said)] == [
        (epoch.epoch, epoch.items) for epoch in reference
    ]


def test_validation_images_have_the_outputs_of_the_validation(
    settings: Settings, blobs: BlobStore
) -> None:
    """Without training images. The only epoch is the best: its predictions are the file's."""
    said: list[Any] = []
    job = coloured_job(blobs, epochs=0.2, recorded_images=40, record_training_images=False)
    train_version(job, 1, settings, blobs, said.append)
    (epoch,) = of_type(EpochItems, said)
    rows = items_of(blobs, epoch)
    assert {row["split"] for row in rows} == {"validation"}
    (evaluated,) = of_type(Evaluated, said)
    path = settings.data / "predictions.parquet"
    path.write_bytes(blobs.get(evaluated.predictions))
    predicted = [row for row in pq.read_table(path).to_pylist() if row["split"] == "validation"]
    assert [row["image"] for row in rows] == [row["image"] for row in predicted]
    for row, own in zip(rows, predicted, strict=True):
        assert row["probability"] == pytest.approx(own["scores"][row["concept"]], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "train", "validation"),
    [
        ({"recorded_images": 40}, TRAIN_IMAGES, VALIDATION_IMAGES),
        ({"recorded_images": 39}, 33, VALIDATION_IMAGES),
        ({"recorded_images": 10}, 5, 5),
        ({"recorded_images": 1}, 1, 0),
        ({"recorded_images": 5, "record_training_images": False}, 0, 5),
        ({"recorded_images": 40, "record_training_images": False}, 0, VALIDATION_IMAGES),
    ],
)
def test_the_sample_is_as_large_as_the_option_says(
    options: dict[str, Any],
    train: int,
    validation: int,
    settings: Settings,
    blobs: BlobStore,
) -> None:
    job = coloured_job(blobs, **options)
    sample = sample_of(job, prepare(job, blobs, settings, lambda _: None))
    assert (len(sample.train), len(sample.validation)) == (train, validation)


def test_a_sample_is_stratified_by_the_rarest_concept_and_by_the_seed() -> None:
    labels = [[0]] * 80 + [[0, 1]] * 16 + [[]] * 4
    sample = stratified(labels, 25, seed=3)
    assert Counter(map(len, (labels[index] for index in sample))) == {1: 20, 2: 4, 0: 1}
    assert np.array_equal(sample, np.unique(sample))
    assert np.array_equal(sample, stratified(labels, 25, seed=3))
    assert not np.array_equal(sample, stratified(labels, 25, seed=4))
    assert stratified(labels, 0, seed=3).tolist() == []
