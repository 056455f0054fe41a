"""Scores that a worker stored are joined with the truth, and measured as the worker measures."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from adapters.evaluation.scores import Scored, ScoresRefused, join_scores
from adapters.evaluation.split_metrics import box_metrics, label_metrics
from domain.training.messages import ManifestLine, SplitFigures
from gpu_worker.tasks import Predictions, task_for
from tests.adapters.evaluation import samples

COUNT = 3
CONCEPTS = samples.concepts(COUNT)
CPU = torch.device("cpu")


def manifest(rows: list[dict[str, Any]]) -> list[ManifestLine]:
    """The lines of a dataset in which the truth is that of the rows, in another order."""
    lines = []
    for row in rows:
        boxed = bool(row["truth"]) and isinstance(row["truth"][0], dict)
        numbers = [true["concept"] if boxed else true for true in row["truth"]]
        boxes = tuple(
            (true["x"], true["y"], true["width"], true["height"])
            for true in (row["truth"] if boxed else ())
        )
        concepts = tuple(f"c{number}" for number in numbers)
        lines.append(ManifestLine(row["image"], "blob", row["split"], concepts, boxes))
    return sorted(lines, key=lambda line: line.image)


def table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_labels_are_measured_as_the_worker_does(tmp_path: Path, kind: str) -> None:
    rows = samples.labels(kind, 400, COUNT)
    theirs = samples.write(tmp_path / "theirs", kind, COUNT, rows)
    scored = join_scores(theirs, tmp_path / "ours", kind, CONCEPTS, manifest(rows))
    assert (tmp_path / "ours").read_bytes() == theirs.read_bytes()
    assert scored is not None
    for split in ("validation", "train"):
        own = [row for row in rows if row["split"] == split]
        metrics = task_for(kind, COUNT).metrics(CPU)
        scores = torch.tensor([row["scores"] for row in own])
        if kind == "classification":
            targets = torch.tensor([row["truth"][0] for row in own])
            loss = torch.nn.functional.nll_loss(scores.log(), targets)
        else:
            targets = torch.zeros(len(own), COUNT)
            for number, row in enumerate(own):
                targets[number, row["truth"]] = 1
            loss = torch.nn.functional.binary_cross_entropy(scores, targets)
        metrics.add(Predictions(loss, scores, scores, torch.tensor(True)), targets)
        expected = {"images": len(own), "loss": float(loss)} | metrics.compute()
        found, exact = label_metrics(kind, scored, split)
        assert exact
        for name, value in expected.items():
            assert getattr(found, name) == pytest.approx(value, abs=1e-6), name


def test_boxes_are_matched_and_measured_as_the_worker_does(tmp_path: Path) -> None:
    rows = samples.boxes(60, COUNT)
    for row in rows:
        for box in row["predicted"]:
            box["x"] = max(box["x"], 0.0)
    theirs = samples.write(tmp_path / "theirs", "detection", COUNT, rows)
    assert join_scores(theirs, tmp_path / "ours", "detection", CONCEPTS, manifest(rows)) is None
    ours = pq.read_table(tmp_path / "ours").to_pylist()
    expected = pq.read_table(theirs).to_pylist()
    assert [[box["matched"] for box in row["predicted"]] for row in ours] == [
        [box["matched"] for box in row["predicted"]] for row in expected
    ]
    for split in ("validation", "train"):
        own = [row for row in rows if row["split"] == split]
        metrics = task_for("detection", COUNT).metrics(CPU)
        predicted = [tensors(row["predicted"]) for row in own]
        outputs = Predictions(torch.zeros(()), predicted, predicted, torch.tensor(True))
        metrics.add(outputs, [tensors(row["truth"]) for row in own])
        found = box_metrics(tmp_path / "ours", split)
        assert found.images == len(own)
        for name, value in metrics.compute().items():
            assert getattr(found, name) == pytest.approx(value, abs=1e-3), name


def tensors(boxes: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    sides = np.array([[b["x"], b["y"], b["width"], b["height"]] for b in boxes]).reshape(-1, 4)
    corners = torch.tensor(np.concatenate((sides[:, :2], sides[:, :2] + sides[:, 2:]), 1) * 1000)
    labels = torch.tensor([b["concept"] for b in boxes], dtype=torch.int64) + 1
    found = {"boxes": corners.float(), "labels": labels}
    if boxes and "score" in boxes[0]:
        found["scores"] = torch.tensor([b["score"] for b in boxes], dtype=torch.float32)
    return found


LINES = [ManifestLine(f"i{n}", "blob", "train", (f"c{n % COUNT}",)) for n in range(4)]
IDS = [line.image for line in LINES]
SCORES = [[0.2, 0.3, 0.5]] * 4


def test_a_trainers_file_has_scores_alone(tmp_path: Path) -> None:
    path = table(tmp_path / "file", image=IDS[::-1], scores=SCORES)
    scored = join_scores(path, tmp_path / "joined", "classification", CONCEPTS, LINES)
    assert isinstance(scored, Scored)
    assert scored.truth.argmax(axis=1).tolist() == [0, 2, 1, 0]
    assert label_metrics("classification", scored, "train")[0].accuracy == 0.25
    assert label_metrics("classification", scored, "validation")[0] == SplitFigures(images=0)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"image": IDS[:3], "scores": SCORES[:3]}, "3 rows, and the frozen dataset has 4 images"),
        ({"image": [*IDS, "i4"], "scores": [*SCORES, SCORES[0]]}, "5 rows"),
        ({"image": [*IDS[:3], "i9"], "scores": SCORES}, "'i9' is not of the frozen dataset"),
        ({"image": [*IDS[:3], None], "scores": SCORES}, "'None' is not of the frozen dataset"),
        ({"image": [*IDS[:3], "i0"], "scores": SCORES}, "i0 is predicted twice"),
        ({"image": IDS, "scores": [*SCORES[:3], [0.5, 0.5]]}, "image i3 has 2 scores"),
        ({"image": IDS, "scores": [*SCORES[:3], None]}, "an image has no scores"),
        ({"image": IDS, "scores": [*SCORES[:3], [0.5, 0.5, None]]}, "a score is missing"),
        ({"image": IDS, "scores": [*SCORES[:3], [0.5, 0.5, float("nan")]]}, "image i3 has a score"),
        ({"image": IDS, "scores": [*SCORES[:3], [0.5, 0.5, 1.5]]}, "image i3 has a score"),
        ({"image": IDS, "scores": [*SCORES[:3], [0.5, 0.5, -0.1]]}, "image i3 has a score"),
        ({"image": IDS, "scores": [["a"] * 3] * 4}, "a score is no number"),
        ({"image": IDS, "scores": [0.5] * 4}, "not hold lists of numbers"),
        ({"image": IDS}, "no column 'scores'"),
        ({"scores": SCORES}, "no column 'image'"),
        ({"image": IDS, "scores": [[0.1] * 500] * 4}, "2000 values in a column"),
        ({"image": [1, 2, 3, 4], "scores": SCORES}, "'1' is not of the frozen dataset"),
    ],
)
def test_scores_that_do_not_fit_are_refused(
    tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    path = table(tmp_path / "file", **columns)
    with pytest.raises(ScoresRefused, match=says):
        join_scores(path, tmp_path / "joined", "classification", CONCEPTS, LINES)


def box(**changed: Any) -> dict[str, Any]:
    return {"concept": 0, "score": 0.5, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2} | changed


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (box(x=0.9), "beyond its image"),
        (box(width=-0.1), "beyond its image"),
        (box(y=float("nan")), "beyond its image"),
        (box(concept=COUNT), "no concept from 0 to 2"),
        (box(score=2.0), "image i3 has a score"),
        (box(score=None), "a score is missing"),
        (None, "a box is missing"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(
    tmp_path: Path, wrong: dict[str, Any] | None, says: str
) -> None:
    path = table(tmp_path / "file", image=IDS, predicted=[[box()], [], [box()], [box(), wrong]])
    with pytest.raises(ScoresRefused, match=says):
        join_scores(path, tmp_path / "joined", "detection", CONCEPTS, LINES)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"\x80\x04K."])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ScoresRefused, match="cannot be read"):
        join_scores(path, tmp_path / "joined", "classification", CONCEPTS, LINES)
