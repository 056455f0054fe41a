"""What is suggested at which thresholds, how unsure it is, and in which order it is shown."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import entropy

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.predictions import writing_predictions
from adapters.evaluation.suggestions import Suggestion, in_order, load_suggestions
from domain.dataset.annotation import Annotation, Box
from domain.training.messages import ConceptLabel

CONCEPTS = [ConceptLabel(key, key) for key in ("a", "b", "c")]


def suggested(
    folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], thresholds: Sequence[float]
) -> list[Suggestion]:
    blobs = BlobStore.from_url(folder.as_uri())
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "predictions")
        with writing_predictions(path, kind, CONCEPTS) as file:
            for number, row in enumerate(rows):
                file.add({"image": f"i{number}", "split": "train", "truth": []} | dict(row))
        digest = blobs.put_file(path)
    return load_suggestions(blobs, digest, tuple(thresholds))


def test_a_classification_suggests_the_highest_score_that_reaches_its_threshold(
    tmp_path: Path,
) -> None:
    rows = [{"scores": [0.7, 0.2, 0.1]}, {"scores": [0.3, 0.45, 0.25]}]
    first, second = suggested(tmp_path, "classification", rows, [0.0, 0.5, 0.0])
    assert [each.annotation for each in first.annotations] == [Annotation("a")]
    assert first.score == pytest.approx(0.7)
    assert second.annotations == []
    assert first.entropy == pytest.approx(entropy([0.7, 0.2, 0.1]), abs=1e-6)
    assert first.margin == pytest.approx(0.5)
    assert second.margin == pytest.approx(0.15)


def test_a_tagging_suggests_all_that_reach_theirs_and_is_unsure_on_average(tmp_path: Path) -> None:
    rows = [{"scores": [0.9, 0.6, 0.1]}, {"scores": [0.2, 0.1, 0.3]}]
    first, second = suggested(tmp_path, "tagging", rows, [0.5, 0.5, 0.5])
    assert [each.annotation.concept_id for each in first.annotations] == ["a", "b"]
    assert first.score == pytest.approx(0.6), "the least sure of its tags"
    assert second.annotations == []
    assert second.score == pytest.approx(0.7)
    mean = sum(entropy([p, 1 - p]) for p in (0.9, 0.6, 0.1)) / 3
    assert first.entropy == pytest.approx(mean, abs=1e-6)
    assert first.margin == pytest.approx((0.8 + 0.2 + 0.8) / 3, abs=1e-6)


def test_a_detection_suggests_boxes_within_the_image(tmp_path: Path) -> None:
    def box(score: float, x: float = 0.1) -> dict[str, Any]:
        sides = {"x": x, "y": 0.2, "width": 0.5, "height": 0.5}
        return {"concept": 1, "score": score, "matched": -1} | sides

    rows: list[dict[str, Any]] = [
        {"predicted": [box(0.9), box(0.6, 0.6), box(0.2)]},
        {"predicted": []},
    ]
    first, second = suggested(tmp_path, "detection", rows, [0.5, 0.5, 0.5])
    boxes = [each.annotation.box for each in first.annotations]
    assert [(each.x, each.width) for each in boxes if each] == [
        (0.1, 0.5),
        (0.6, pytest.approx(0.4)),
    ]
    assert all(isinstance(each, Box) and each.x + each.width <= 1 for each in boxes)
    mean = sum(entropy([p, 1 - p]) for p in (0.9, 0.6, 0.2)) / 3
    assert first.entropy == pytest.approx(mean, abs=1e-6)
    assert (second.annotations, second.entropy, second.margin) == ([], 0.0, 1.0)


def test_the_least_sure_come_first_among_a_share_at_random() -> None:
    many = [Suggestion(f"i{n:03}", [], 0.5, n / 100, 1 - n / 200) for n in range(100)]
    for by in ("entropy", "margin"):
        sorted_ids = [each.image_id for each in in_order(many, by, 0.0, 1)]
        assert sorted_ids == [f"i{n:03}" for n in reversed(range(100))]
    mixed = in_order(many, "entropy", 0.2, 1)
    assert mixed == in_order(many, "entropy", 0.2, 1)
    assert mixed != in_order(many, "entropy", 0.2, 2)
    assert sorted(each.image_id for each in mixed) == [each.image_id for each in many]
    early = [each.entropy for each in mixed[:30]]
    assert sum(value < 0.65 for value in early) >= 1, "some are drawn at random"
    assert sum(value >= 0.65 for value in early) >= 20
    assert math.isclose(in_order(many, "entropy", 0.0, 1)[0].uncertainty("margin"), 99 / 200)
