"""Suspects of tags and boxes from files as the worker writes them, and label quality."""

from typing import Any

import numpy as np
import pytest

from adapters.evaluation.prediction_arrays import Boxes, BoxTable, Images, Labels
from adapters.flip_book.arrays import Book
from adapters.flip_book.box_margins import find_doubts, predicted_after, true_boxes
from adapters.flip_book.box_suspects import recorded_boxes
from adapters.flip_book.boxes import judge_boxes
from adapters.flip_book.files import SampledImages, file_of
from adapters.flip_book.label_quality import label_quality
from adapters.flip_book.loading import load
from adapters.flip_book.suspects import Suspect, missing_key
from adapters.flip_book.training_suspects import training_suspects
from adapters.flip_book.validation_suspects import validation_boxes, validation_suspects
from domain.dataset.annotation import Box, DoubtedLabel
from domain.library.view import DETECTION, TAGGING
from domain.training.messages import ConceptLabel

CONCEPTS = [ConceptLabel(key, key) for key in ("cat", "dog", "fox")]
NAMES = {concept.concept_id: concept.label for concept in CONCEPTS}
SIDES = ("x", "y", "width", "height")

Predicted = tuple[int, float, tuple[float, float, float, float]]
HERE, BESIDE, FAR = (0.1, 0.1, 0.4, 0.4), (0.3, 0.1, 0.4, 0.4), (0.6, 0.6, 0.3, 0.3)


def tags(epoch: int, margins: list[float]) -> bytes:
    """Two images of three concepts, the first with a cat; the second validates."""
    margin = np.array(margins, np.float32)
    truth = np.array([True, False, False, False, True, False])
    return file_of(
        TAGGING,
        CONCEPTS,
        epoch,
        SampledImages(["a", "b"], ["train", "validation"]),
        {
            "concept": np.tile(np.arange(3, dtype=np.int32), 2),
            "truth": truth,
            "predicted": np.where(margin >= 0, truth, ~truth),
            "probability": 1 / (1 + np.exp(-margin)),
            "margin": margin,
            "loss": np.ones(6, np.float32),
        },
    )


def test_tags_that_another_answer_was_likelier_for() -> None:
    book = Book([load(tags(1, [-1, 3, 1, -9, 1, 1])), load(tags(2, [-2, -5, 2, -9, 1, 1]))])
    first, second = training_suspects(book, NAMES)
    assert (first.item, first.score) == ("a:cat", -1.5)
    assert first.label == DoubtedLabel("cat", True)
    assert first.suggestion.action == "remove"
    assert first.reason == "did not predict 'cat' in 2 of 2 epochs, never learnt"
    assert (second.item, second.rank, second.score) == ("a:dog", 2, -1)
    assert second.label == DoubtedLabel("dog", False)
    assert second.suggestion.action == "add"
    assert second.reason == (
        "predicted 'dog' in 1 of 2 epochs, learned in epoch 1 and forgotten once"
    )


def scene(epoch: int, images: list[tuple[list[Any], list[Predicted]]]) -> bytes:
    """Training images with true boxes (concept, sides) and predicted ones, by falling score."""
    columns: dict[str, list[Any]] = {"loss": [], "truth": [], "boxes": []}
    for true, predicted in images:
        sides = np.array([box for _, box in true], np.float64).reshape(-1, 4)
        boxes = np.array([box for _, _, box in predicted], np.float64).reshape(-1, 4)
        scores = np.array([score for _, score, _ in predicted])
        judged, own = judge_boxes(
            np.array([concept for concept, _ in true], np.int64),
            sides,
            np.array([concept for concept, _, _ in predicted], np.int64),
            boxes,
            scores,
        )
        columns["loss"].append(0.5)
        columns["truth"].append(
            [
                {"concept": concept, **dict(zip(SIDES, box, strict=True))}
                | {"outcome": judged.outcome[n], "predicted": int(judged.predicted[n])}
                | {"probability": judged.probability[n], "margin": judged.margin[n], "loss": 1.0}
                for n, (concept, box) in enumerate(true)
            ]
        )
        columns["boxes"].append(
            [
                {"concept": concept, "score": score, **dict(zip(SIDES, box, strict=True))}
                | {"outcome": own.outcome[n], "matched": int(own.matched[n])}
                for n, (concept, score, box) in enumerate(predicted)
            ]
        )
    ids = [f"i{number}" for number in range(len(images))]
    return file_of(DETECTION, CONCEPTS, epoch, SampledImages(ids, ["train"] * len(ids)), columns)


SCENES: list[tuple[list[Any], list[Predicted]]] = [
    ([(0, HERE)], [(0, 0.9, HERE)]),
    ([(0, HERE)], [(1, 0.8, HERE), (0, 0.3, HERE)]),
    ([(0, HERE)], [(0, 0.9, BESIDE)]),
    ([(0, HERE)], [(0, 0.9, HERE), (2, 0.7, FAR), (1, 0.4, FAR)]),
    ([(0, HERE)], []),
    ([(0, HERE)], [(0, 0.3, HERE), (1, 0.1, FAR)]),
]


def test_boxes_that_are_swapped_shifted_or_missing() -> None:
    book = Book([load(scene(1, SCENES)), load(scene(2, SCENES))])
    suspects = recorded_boxes(book, NAMES)
    fox = missing_key("i3", 2, Box(*(float(np.float32(side)) for side in FAR)))
    assert [suspect.item for suspect in suspects] == ["i2:0", fox, "i1:0"]
    shifted, missing, swapped = suspects
    margins = [0.9, 0.3 - 0.8, -0.9, 0.9, 0, 0.3]
    overall = sum(margins) / 6
    of_cats = (sum(margins) + 5 * overall) / (6 + 5)
    assert swapped.score == pytest.approx(margins[1] - of_cats, abs=1e-6)
    assert (swapped.suggestion.action, swapped.suggestion.concept_id) == ("relabel", "dog")
    assert swapped.reason == "predicted 'dog' in this box with 0.80; found in 0 of 2 epochs"
    assert missing.score == pytest.approx(-0.7 - overall, abs=1e-6)
    assert missing.label.present is False
    assert (missing.suggestion.action, missing.suggestion.concept_id) == ("add", "fox")
    assert missing.reason == "predicted 'fox' with 0.70 where there is no box"
    assert shifted.score == pytest.approx(margins[2] - of_cats, abs=1e-6)
    assert shifted.suggestion.action == "move"
    assert shifted.suggestion.box is not None
    assert shifted.suggestion.box.is_same_as(Box(*BESIDE))


def test_margins_of_boxes_equal_a_plain_computation() -> None:
    random = np.random.default_rng(5)

    def boxes(number: int) -> list[tuple[float, ...]]:
        return [tuple(row) for row in random.uniform(0.05, 0.5, (number, 4))]

    images: list[tuple[list[Any], list[Predicted]]] = []
    for _ in range(30):
        true = [(int(random.integers(3)), box) for box in boxes(int(random.integers(0, 4)))]
        scores = sorted(random.random(6).tolist(), reverse=True)
        predicted: list[Any] = [
            (int(random.integers(3)), score, box)
            for score, box in zip(scores, boxes(6), strict=True)
        ]
        images.append((true, predicted))
    expected = []
    for true, predicted in images:
        places = [Box(*box) for _, box in true]
        for number, (concept, _) in enumerate(true):
            own, against = 0.0, 0.0
            for other, score, box in predicted:
                overlaps = [place.overlap(Box(*box)) for place in places]
                overlap = overlaps[number]
                if overlap >= 0.5 and other == concept:
                    own = max(own, score * overlap)
                elif overlap >= 0.5:
                    against = max(against, score * overlap)
                elif other == concept and overlap >= 0.1 and overlap == max(overlaps):
                    against = max(against, score)
            expected.append(own - against)
    epoch = load(scene(1, images))
    every = np.ones(len(images), np.bool_)
    doubts = find_doubts(true_boxes(epoch.items), [predicted_after(epoch)], 3, every)
    assert doubts.margins == pytest.approx(expected, abs=1e-5)


def labels(
    truth: list[list[int]], scores: list[list[float]], *, single: bool = True, train: int = 0
) -> Labels:
    concepts = len(scores[0])
    true = np.zeros((len(truth), concepts), np.bool_)
    for row, of_image in enumerate(truth):
        true[row, of_image] = True
    images = Images([f"i{n}" for n in range(len(truth))], np.arange(len(truth)) < train)
    names = tuple(NAMES)[:concepts]
    return Labels("any", names, images, true, np.array(scores, np.float32), single)


def suspected(predictions: Any) -> list[Suspect]:
    return validation_suspects(predictions, label_quality(predictions), NAMES)


def test_validation_images_are_scored_by_cleanlab_and_training_images_are_not() -> None:
    truth = [[n % 3] for n in range(20)]
    scores = [[0.9 if c == n % 3 else 0.05 for c in range(3)] for n in range(20)]
    scores[7] = [0.02, 0.02, 0.96]
    scores[2], scores[11] = [0.9, 0.05, 0.05], [0.93, 0.04, 0.03]
    found = suspected(labels(truth, scores, train=5))
    assert [suspect.item for suspect in found] == ["i7", "i11"]
    assert found[0].reason == "the saved checkpoint predicts 'fox' with 0.96, 'dog' with 0.02"


def test_label_quality_takes_whatever_a_dataset_is() -> None:
    for images in (1, 2, 3):
        for concepts in (1, 2, 3):
            truth = [[0] for _ in range(images)]
            scores = [[1 / concepts] * concepts for _ in range(images)]
            for single in (True, False):
                if concepts == 1 and single:
                    continue
                suspected(labels(truth, scores, single=single))
                suspected(labels(truth, scores, single=single, train=images))
            suspected(labels([[]] * images, scores, single=False))


def table(boxes: list[tuple[int, int, tuple[float, ...]]], images: int) -> BoxTable:
    image = np.array([image for image, _, _ in boxes], np.int64)
    return BoxTable(
        image,
        np.concatenate([[0], np.cumsum(np.bincount(image, minlength=images))]),
        np.array([concept for _, concept, _ in boxes], np.int32),
        np.array([box for _, _, box in boxes], np.float32).reshape(-1, 4),
    )


def detections(true: list[Any], predicted: list[Any], scores: list[float], images: int) -> Boxes:
    return Boxes(
        DETECTION,
        tuple(NAMES),
        Images([f"i{n}" for n in range(images)], np.zeros(images, np.bool_)),
        table(true, images),
        table(predicted, images),
        np.array(scores, np.float32),
        np.full(len(predicted), -1),
    )


def test_boxes_of_validation_images() -> None:
    true = [(0, 0, HERE), (1, 0, HERE), (2, 0, HERE), (3, 0, HERE)]
    predicted = [(0, 0, HERE), (1, 1, HERE), (2, 0, BESIDE), (3, 0, HERE), (3, 2, FAR), (3, 1, FAR)]
    scores = [0.9, 0.9, 0.9, 0.9, 0.8, 0.1]
    found = validation_boxes(detections(true, predicted, scores, 4), NAMES)
    fox = missing_key("i3", 2, Box(*(float(np.float32(side)) for side in FAR)))
    assert [(suspect.item, suspect.suggestion.action) for suspect in found] == [
        ("i1:0", "relabel"),
        ("i2:0", "move"),
        (fox, "add"),
    ]
    assert found[0].reason == "predicted 'dog' in this box with 0.90"
    assert validation_boxes(detections([], [], [], 2), NAMES) == []
    assert validation_boxes(detections(true, [], [], 4), NAMES) == []
    assert len(validation_boxes(detections([], predicted[:1], [0.9], 1), NAMES)) == 1
