"""Figures equal those of scikit-learn, torchmetrics and pycocotools on the same predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn import metrics as sklearn_metrics
from torchmetrics.detection import MeanAveragePrecision
from torchmetrics.functional import classification as torch_metrics

from adapters.evaluation.coco import coco_precision
from adapters.evaluation.loading import load
from adapters.evaluation.metrics import accuracy, concept_metrics, confusion, curve, facts
from adapters.evaluation.prediction_arrays import Boxes, DecidedLabels, Labels
from tests.adapters.evaluation import samples

COUNT = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("predictions")


def loaded(folder: Path, kind: str) -> Labels:
    path = samples.write(folder / kind, kind, COUNT, samples.labels(kind, 2500, COUNT))
    answers = load(path)
    assert isinstance(answers, Labels)
    return answers


@pytest.fixture(scope="module")
def detected(folder: Path) -> Boxes:
    answers = load(samples.write(folder / "boxes", "detection", COUNT, samples.boxes(300, COUNT)))
    assert isinstance(answers, Boxes)
    return answers


def test_a_classification_is_torchmetrics(folder: Path) -> None:
    answers = loaded(folder, "classification")
    within = answers.images.in_split("validation")
    decided = answers.decide(np.zeros(COUNT))
    scores = torch.tensor(answers.scores[within])
    true = torch.tensor(answers.truth[within].argmax(axis=1))
    found = concept_metrics(decided, within)
    for name, of in (
        ("precision", torch_metrics.multiclass_precision),
        ("recall", torch_metrics.multiclass_recall),
        ("f1", torch_metrics.multiclass_f1_score),
    ):
        of_each = of(scores, true, COUNT, average=None).tolist()
        assert [getattr(one, name) for one in found] == pytest.approx(of_each)
    expected = torch_metrics.multiclass_average_precision(scores, true, COUNT, average=None)
    averages = [facts(answers, c, within).average_precision for c in range(COUNT)]
    assert averages == pytest.approx(expected.tolist(), abs=1e-5)
    assert accuracy(decided, within) == pytest.approx(
        float(torch_metrics.multiclass_accuracy(scores, true, COUNT, average="micro"))
    )
    matrix = np.array(confusion(decided, within))
    expected = torch_metrics.multiclass_confusion_matrix(scores, true, COUNT)
    assert (matrix[:, :COUNT] == expected.numpy()).all()
    assert not matrix[:, COUNT].any()


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.77])
def test_a_tagging_is_torchmetrics(folder: Path, threshold: float) -> None:
    answers = loaded(folder, "tagging")
    within = answers.images.in_split("train")
    decided = answers.decide(np.full(COUNT, threshold))
    scores, true = torch.tensor(answers.scores[within]), torch.tensor(answers.truth[within]).int()
    found = concept_metrics(decided, within)
    # torchmetrics counts a score at the threshold as not predicted; none is here, but at 0.
    expected = torch_metrics.multilabel_precision(
        scores, true, COUNT, threshold=threshold, average=None
    )
    assert [one.precision for one in found] == pytest.approx(expected.tolist())
    expected = torch_metrics.multilabel_average_precision(scores, true, COUNT, average=None)
    averages = [facts(answers, c, within).average_precision for c in range(COUNT)]
    assert averages == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", ["classification", "tagging", "detection"])
def test_the_suggested_threshold_has_the_highest_f1(
    folder: Path, detected: Boxes, kind: str
) -> None:
    answers = detected if kind == "detection" else loaded(folder, kind)
    within = answers.images.in_split("train")
    for concept in range(COUNT):
        found = facts(answers, concept, within)
        assert found.best_threshold is not None

        def f1(threshold: float, concept: int = concept) -> float:
            at = concept_metrics(answers.decide(np.full(COUNT, threshold)), within)
            return at[concept].f1 or 0.0

        assert f1(found.best_threshold) == pytest.approx(found.best_f1)
        assert all(f1(other) <= (found.best_f1 or 0) + 1e-9 for other in np.linspace(0, 1, 21))


def test_a_concept_that_no_image_holds_has_no_figures(folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image": f"i{n}", "split": "train", "truth": [0], "scores": [0.9, 0.1]} for n in range(3)
    ]
    answers = load(samples.write(folder / "one", "tagging", 2, rows))
    within = answers.images.in_split("train")
    _, none = concept_metrics(answers.decide(np.full(2, 0.5)), within)
    assert (none.precision, none.recall, none.f1, none.support) == (None, None, None, 0)
    assert facts(answers, 1, within).average_precision is None
    assert curve(answers, 1, within) is None
    empty = answers.images.in_split("validation")
    assert concept_metrics(answers.decide(np.full(2, 0.5)), empty)[0].support == 0


def test_a_tagging_of_one_concept_is_no_special_case(folder: Path) -> None:
    rows = samples.labels("tagging", 200, 1)
    answers = load(samples.write(folder / "single", "tagging", 1, rows))
    within = answers.images.in_split("train")
    decided = answers.decide(np.full(1, 0.5))
    assert isinstance(decided, DecidedLabels)
    (found,) = concept_metrics(decided, within)
    true = [bool(row["truth"]) for row in rows if row["split"] == "train"]
    said = [row["scores"][0] >= 0.5 for row in rows if row["split"] == "train"]
    assert found.f1 == pytest.approx(sklearn_metrics.f1_score(true, said))
    assert found.support == sum(true)


def test_an_unsure_image_is_a_false_negative_and_no_false_positive(folder: Path) -> None:
    answers = loaded(folder, "classification")
    decided = answers.decide(np.full(COUNT, 0.6))
    assert isinstance(decided, DecidedLabels)
    unsure = answers.scores.max(axis=1) < np.float32(0.6)
    assert unsure.any()
    assert not decided.false_positives(None)[unsure].any()
    assert (decided.false_negatives(None)[unsure] == 1).all()


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_boxes_are_counted_by_what_they_found(detected: Boxes, threshold: float) -> None:
    within = detected.images.in_split("train")
    found = concept_metrics(detected.decide(np.full(COUNT, threshold)), within)
    rows = [row for row in samples.boxes(300, COUNT) if row["split"] == "train"]
    for concept, one in enumerate(found):
        said = [
            box
            for row in rows
            for box in row["predicted"]
            if box["concept"] == concept and np.float32(box["score"]) >= np.float32(threshold)
        ]
        true = sum(box["concept"] == concept for row in rows for box in row["truth"])
        hits = sum(box["matched"] >= 0 for box in said)
        assert one.support == true
        assert one.precision == pytest.approx(hits / len(said))
        assert one.recall == pytest.approx(hits / true)


def test_recall_of_boxes_is_of_all_true_ones(detected: Boxes) -> None:
    within = detected.images.in_split("train")
    drawn = curve(detected, 0, within)
    assert drawn is not None
    everything = concept_metrics(detected.decide(np.zeros(COUNT)), within)[0]
    assert drawn.recall[0] == pytest.approx(everything.recall)
    assert drawn.recall[0] < 1
    assert drawn.precision[0] == pytest.approx(everything.precision)


def as_coco(split: str) -> tuple[COCO, list[dict[str, Any]]]:
    """The same boxes in pixels of a picture of 640 by 480."""
    known: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    rows = [row for row in samples.boxes(300, COUNT) if row["split"] == split]

    def annotation(image: int, box: dict[str, Any]) -> dict[str, Any]:
        x, y, width, height = (
            float(np.float32(box[side])) for side in ("x", "y", "width", "height")
        )
        sides = [640 * x, 480 * y, 640 * width, 480 * height]
        return {
            "image_id": image,
            "category_id": box["concept"] + 1,
            "bbox": sides,
            "area": sides[2] * sides[3],
            "iscrowd": 0,
        }

    for image, row in enumerate(rows):
        for box in row["truth"]:
            known.append(annotation(image, box) | {"id": len(known) + 1})
        said += [
            annotation(image, box) | {"score": float(np.float32(box["score"]))}
            for box in row["predicted"]
        ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(rows))],
        "categories": [{"id": concept + 1} for concept in range(COUNT)],
        "annotations": known,
    }
    coco.createIndex()
    return coco, said


@pytest.mark.parametrize("split", ["validation", "train"])
def test_average_precision_of_boxes_is_pycocotools(detected: Boxes, split: str) -> None:
    known, said = as_coco(split)
    evaluation = COCOeval(known, known.loadRes(said), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    within = detected.images.in_split(split)
    for concept in range(COUNT):
        found = coco_precision(detected, concept, within)
        assert found.at_50 == pytest.approx(precision[0, :, concept].mean(), abs=1e-6)
        assert found.average == pytest.approx(precision[:, :, concept].mean(), abs=1e-6)


def test_average_precision_of_boxes_is_torchmetrics(detected: Boxes) -> None:
    within = detected.images.in_split("train")
    metric = MeanAveragePrecision(box_format="xywh", backend="faster_coco_eval", class_metrics=True)
    for place in np.flatnonzero(within).tolist():
        true, said = detected.truth.of(place), detected.predicted.of(place)
        metric.update(
            [
                {
                    "boxes": torch.tensor(detected.predicted.sides[said]).reshape(-1, 4),
                    "labels": torch.tensor(detected.predicted.concept[said]).long(),
                    "scores": torch.tensor(detected.scores[said]),
                }
            ],
            [
                {
                    "boxes": torch.tensor(detected.truth.sides[true]).reshape(-1, 4),
                    "labels": torch.tensor(detected.truth.concept[true]).long(),
                }
            ],
        )
    expected = metric.compute()["map_per_class"].tolist()
    found = [coco_precision(detected, c, within).average for c in range(COUNT)]
    assert found == pytest.approx(expected, abs=1e-4)
