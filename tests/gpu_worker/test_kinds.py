"""Metrics and predictions of each kind, against scikit-learn and COCO's own evaluation."""

import contextlib
import io
import math
import time
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import accuracy_score, average_precision_score

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import (
    CheckpointSaved,
    Completed,
    ConceptLabel,
    EpochMetrics,
    Evaluated,
    ManifestLine,
    SplitFigures,
    TrainJob,
)
from domain.training.options import resolve_options
from gpu_worker.checkpoint import Best
from gpu_worker.evaluate import evaluate
from gpu_worker.networks import build_network
from gpu_worker.progress import NonFinite
from gpu_worker.targets import BoxesOfImages
from gpu_worker.tasks import Detection, Predictions, Tagging, match, task_for
from tests.gpu_worker.at_hand import prepare, train_version
from tests.gpu_worker.recomputed import check_items
from tests.gpu_worker.samples import (
    COLOURS,
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    coloured_lines,
    of_type,
    put_manifest,
)

NAMES = list(COLOURS)
SMALL = {"epochs": 2, "width": 32, "height": 32, "batch_size": 8, "recorded_images": 0}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, nats_url=None)


@pytest.fixture
def nats_url() -> str:
    return ""


def lines_of(kind: str, blobs: BlobStore) -> list[ManifestLine]:
    """The coloured images; tags say what a colour is mixed with, boxes where it is.

    Two images that validate a detection have no box.
    """
    lines = coloured_lines(blobs)
    if kind == "tagging":
        both = [("red", "blue"), (), ("green",)]
        return [
            msgspec.structs.replace(line, concepts=both[number % 3])
            for number, line in enumerate(lines)
        ]
    if kind == "detection":
        box = (0.25, 0.125, 0.5, 0.75)
        lines = [msgspec.structs.replace(line, boxes=(box,)) for line in lines]
        for number in (TRAIN_IMAGES, TRAIN_IMAGES + 3):
            lines[number] = msgspec.structs.replace(lines[number], boxes=(), concepts=())
    return lines


def job_of(kind: str, blobs: BlobStore, **options: Any) -> TrainJob:
    light: dict[str, Any] = {"architecture": "mobilenet_v3_small"}
    if kind == "detection":
        light = {"architecture": "fcos_resnet18_fpn", "width": 64, "height": 64}
    return TrainJob(
        version_id=f"{kind}-{time.monotonic()}",
        attempt=1,
        kind=kind,
        concepts=tuple(ConceptLabel(name, name) for name in COLOURS),
        options=resolve_options(kind, SMALL | light | options),
        manifest=put_manifest(blobs, lines_of(kind, blobs)),
        correlation_id="correlation",
    )


def trained(
    kind: str, settings: Settings, blobs: BlobStore, **options: Any
) -> tuple[list[Any], dict[str, list[dict[str, Any]]]]:
    """All that is said, and the predictions by split."""
    said: list[Any] = []
    train_version(job_of(kind, blobs, **options), 1, settings, blobs, said.append)
    (evaluated,) = of_type(Evaluated, said)
    path = settings.data / "predictions.parquet"
    path.write_bytes(blobs.get(evaluated.predictions))
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for row in pq.read_table(path).to_pylist():
        rows[row["split"]].append(row)
    return said, rows


def check_best(said: list[Any], metric: str) -> None:
    epochs = of_type(EpochMetrics, said)
    best = max(epochs, key=lambda epoch: (getattr(epoch, metric), -epoch.validation_loss))
    saved = of_type(CheckpointSaved, said)[-1]
    assert (saved.metric, saved.value) == (metric, getattr(best, metric))
    assert (saved.epoch, saved.validation_loss) == (best.epoch, best.validation_loss)


def check_recording(kind: str, said: list[Any], blobs: BlobStore) -> None:
    check_items(said, blobs, job_of(kind, blobs), lines_of(kind, blobs))


def test_of_epochs_with_the_same_metric_the_lowest_loss_is_the_best(
    settings: Settings, blobs: BlobStore
) -> None:
    """The accuracy is soon 1; patience counts from the last epoch that lowered the loss."""
    said, _ = trained(
        "classification", settings, blobs, architecture="resnet18", epochs=8, patience=3
    )
    epochs = of_type(EpochMetrics, said)
    perfect = [epoch for epoch in epochs if epoch.validation_accuracy == 1]
    assert len(perfect) > 1
    assert min(perfect, key=lambda epoch: epoch.validation_loss) != perfect[0]
    check_best(said, "validation_accuracy")


def test_an_equal_metric_is_better_only_with_a_lower_loss() -> None:
    best = Best("sha", 0.5, 1, 0.7)
    assert best.is_beaten_by(0.6, 9.0)
    assert best.is_beaten_by(0.5, 0.6)
    assert not best.is_beaten_by(0.5, 0.7)
    assert not best.is_beaten_by(0.4, 0.1)
    assert Best("of an earlier release", 0.5, 1).is_beaten_by(0.5, 0.7)


def calibration_error(right: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """How far the mean score of each tenth is from the share that is right, by its predictions."""
    tenth = np.minimum((scores * 10).astype(int), 9)
    gaps = [
        abs(scores[tenth == n].mean() - right[tenth == n].mean()) * (tenth == n).mean()
        for n in np.unique(tenth)
    ]
    return float(sum(gaps))


def test_accuracy_is_that_of_the_predictions(settings: Settings, blobs: BlobStore) -> None:
    said, rows = trained("classification", settings, blobs, recorded_images=40)
    (evaluated,) = of_type(Evaluated, said)
    for split, figures in (("train", evaluated.train), ("validation", evaluated.validation)):
        truth = [row["truth"][0] for row in rows[split]]
        scores = np.array([row["scores"] for row in rows[split]])
        assert figures.images == len(truth)
        assert figures.accuracy == pytest.approx(accuracy_score(truth, scores.argmax(1)))
        assert scores.sum(1) == pytest.approx(1, abs=1e-5)
        loss = -np.log(scores[np.arange(len(truth)), truth]).mean()
        assert figures.loss == pytest.approx(loss, rel=1e-3, abs=1e-5)
        error = calibration_error(scores.argmax(1) == truth, scores.max(1))
        assert figures.calibration_error == pytest.approx(error, abs=1e-4)
    check_best(said, "validation_accuracy")
    check_recording("classification", said, blobs)


def test_tagging_is_measured_by_mean_average_precision(
    settings: Settings, blobs: BlobStore
) -> None:
    said, rows = trained("tagging", settings, blobs, recorded_images=40)
    (evaluated,) = of_type(Evaluated, said)
    for split, figures in (("train", evaluated.train), ("validation", evaluated.validation)):
        truth = np.zeros((len(rows[split]), len(NAMES)), int)
        for number, row in enumerate(rows[split]):
            truth[number, row["truth"]] = 1
        scores = np.array([row["scores"] for row in rows[split]])
        expected = np.mean([average_precision_score(truth[:, n], scores[:, n]) for n in range(3)])
        assert figures.mean_average_precision == pytest.approx(expected, abs=1e-5)
        assert figures.accuracy == pytest.approx(((scores >= 0.5) == truth).mean(), abs=1e-5)
        error = calibration_error(truth.ravel() == 1, scores.ravel())
        assert figures.calibration_error == pytest.approx(error, abs=1e-4)
    check_best(said, "validation_mean_average_precision")
    check_recording("tagging", said, blobs)


def test_a_concept_that_no_image_holds_does_not_count() -> None:
    figures = Tagging(2).metrics(torch.device("cpu"))
    held = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    scores = torch.tensor([[0.9, 0.8], [0.1, 0.7]])
    figures.add(Predictions(torch.zeros(()), scores, scores, torch.tensor(True)), held)
    assert figures.compute()["mean_average_precision"] == 1.0


def coco_figures(rows: list[dict[str, Any]]) -> list[float]:
    """pycocotools' mean average precision over IoU 0.50 to 0.95, at 0.50 and at 0.75."""
    truth = COCO()
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        for box in row["truth"]:
            annotations.append(coco_box(box, number) | {"id": len(annotations) + 1, "iscrowd": 0})
        results += [coco_box(box, number) | {"score": box["score"]} for box in row["predicted"]]
    truth.dataset = {
        "images": [{"id": number + 1} for number in range(len(rows))],
        "annotations": annotations,
        "categories": [{"id": number} for number in range(len(NAMES))],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(one) for one in evaluation.stats[:3]]


def coco_box(box: dict[str, Any], image: int) -> dict[str, Any]:
    """In pixels of the 64 x 64 that the network saw: COCO's areas are in pixels."""
    sides = [box[side] * 64 for side in ("x", "y", "width", "height")]
    area = sides[2] * sides[3]
    return {"image_id": image, "category_id": box["concept"], "bbox": sides, "area": area}


def test_detection_is_measured_as_coco_does(settings: Settings, blobs: BlobStore) -> None:
    said, rows = trained(
        "detection", settings, blobs, epochs=4, initial_learning_rate=0.02, recorded_images=40
    )
    (evaluated,) = of_type(Evaluated, said)
    for split, figures in (("train", evaluated.train), ("validation", evaluated.validation)):
        expected = coco_figures(rows[split])
        told = [figures.mean_average_precision, figures.map_50, figures.map_75]
        assert told == pytest.approx([max(one, 0) for one in expected], abs=1e-3)
        for row in rows[split]:
            scores = [box["score"] for box in row["predicted"]]
            assert scores == sorted(scores, reverse=True)
            matched = [box["matched"] for box in row["predicted"] if box["matched"] >= 0]
            assert len(matched) == len(set(matched))
    assert evaluated.train.map_50 is not None
    assert evaluated.train.map_50 > 0
    assert evaluated.validation.accuracy is None
    assert evaluated.validation.images == VALIDATION_IMAGES
    check_best(said, "validation_mean_average_precision")
    check_recording("detection", said, blobs)


def test_boxes_match_by_score_concept_and_overlap() -> None:
    true = {"boxes": torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]]), "labels": torch.ones(2)}
    said = {
        "boxes": torch.tensor(
            [[0.0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10], [21, 0, 31, 10], [90, 0, 99, 9]]
        ),
        "labels": torch.tensor([1.0, 1, 2, 1, 1]),
    }
    assert match(said, true) == [0, -1, -1, 1, -1]
    assert match(said, {name: one[:0] for name, one in true.items()}) == [-1] * 5


def test_a_detectors_boxes_come_back_as_shares_of_the_image() -> None:
    said = {
        "boxes": torch.tensor([[10.0, 5, 50, 60]]),
        "labels": torch.tensor([1]),
        "scores": torch.tensor([0.5]),
    }
    true = {"boxes": torch.tensor([[10.0, 5, 40, 50]]), "labels": torch.tensor([1])}
    (row,) = Detection().rows(
        Predictions(torch.zeros(()), [said], [said], torch.tensor(True)), [true], [(40, 50)]
    )
    (box,) = row["predicted"]
    assert (box["x"], box["y"], box["width"], box["height"]) == (0.25, 0.1, 0.75, 0.9)
    assert box["matched"] == 0
    assert row["truth"][0]["width"] == 0.75


def test_images_that_keep_their_shape_have_boxes_where_they_were(
    settings: Settings, blobs: BlobStore
) -> None:
    """The truth in the predictions went to pixels and back."""
    _, rows = trained(
        "detection", settings, blobs, resizer="keep_aspect_ratio", max_dimension=64, epochs=0.2
    )
    assert [len(row["truth"]) for row in rows["validation"]] == [0, 1, 1, 0, 1, 1]
    for row in [row for row in rows["train"] + rows["validation"] if row["truth"]]:
        (box,) = row["truth"]
        found = [box[side] for side in ("x", "y", "width", "height")]
        assert found == pytest.approx([0.25, 0.125, 0.5, 0.75], abs=1e-6)


@pytest.mark.parametrize("corner", [0.0, 0.5, 1 - 1e-9])
def test_the_smallest_box_there_can_be_is_one_to_a_detector(corner: float) -> None:
    boxes = BoxesOfImages([[0]], [np.array([[corner, corner, 1e-9, 1e-9]])])
    corners = boxes.corners(0, (1024, 64))
    assert (corners[:, 2:] > corners[:, :2]).all()
    assert (corners >= 0).all()
    assert (corners <= torch.tensor([1024, 64, 1024, 64])).all()


@pytest.mark.parametrize("kind", ["classification", "tagging"])
@pytest.mark.parametrize("overflow", ["nan", "inf", "-inf"])
def test_outputs_that_overflow_are_no_evaluation(
    kind: str, overflow: str, settings: Settings, blobs: BlobStore
) -> None:
    images = prepare(job_of(kind, blobs), blobs, settings, lambda _: None).validation
    network = Constant([float(overflow), 1.0, 0.0])
    with pytest.raises(NonFinite, match="output is no longer a finite number on the validation"):
        evaluate(task_for(kind, 3), network, images, 4, torch.device("cpu"), contextlib.nullcontext)


def test_a_detector_whose_loss_is_no_number_is_no_evaluation(
    settings: Settings, blobs: BlobStore
) -> None:
    """Its scores are compared with a least one, so that none is left."""
    job = job_of("detection", blobs)
    images = prepare(job, blobs, settings, lambda _: None).validation
    network = build_network("detection", job.options, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(NonFinite, match="loss is no longer a finite number"):
        evaluate(
            task_for("detection", 3),
            network,
            images,
            4,
            torch.device("cpu"),
            contextlib.nullcontext,
        )


class Constant(torch.nn.Module):
    """Whatever the image, the same outputs."""

    def __init__(self, outputs: list[float]) -> None:
        super().__init__()
        self._outputs = torch.tensor(outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._outputs.expand(len(images), -1)


def test_a_training_without_progress_ends_by_its_patience(
    settings: Settings, blobs: BlobStore
) -> None:
    said, _ = trained("classification", settings, blobs, epochs=20, patience=1)
    (completed,) = of_type(Completed, said)
    epochs, best = of_type(EpochMetrics, said), of_type(CheckpointSaved, said)[-1]
    assert completed.ended_by == "patience"
    assert len(epochs) == best.epoch + 1 < 20
    assert completed.iterations == epochs[-1].iteration


def test_a_wish_to_stop_ends_with_the_epoch(settings: Settings, blobs: BlobStore) -> None:
    said: list[Any] = []
    job = job_of("classification", blobs, epochs=20)
    train_version(
        job, 1, settings, blobs, said.append, stop_wanted=lambda: bool(of_type(EpochMetrics, said))
    )
    (completed,) = of_type(Completed, said)
    assert completed.ended_by == "stop"
    assert len(of_type(EpochMetrics, said)) == 1
    (evaluated,) = of_type(Evaluated, said)
    assert isinstance(evaluated.validation, SplitFigures)
