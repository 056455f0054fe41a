"""Predictions are read once, checked, and their facts worked out once for all time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.evaluation import predictions_cache
from adapters.evaluation.coco import result_key
from adapters.evaluation.loading import PredictionsUnreadable, load
from adapters.evaluation.predictions_cache import Facts, Predictions
from tests.adapters.evaluation import samples
from tests.system.system import eventually

URL = "file://{}/blobs"


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.from_url(URL.format(tmp_path))


@pytest.fixture
def predictions(tmp_path: Path, blobs: BlobStore) -> Iterator[Predictions]:
    made = Predictions(blobs, URL.format(tmp_path))
    yield made
    made.close()


def stored(blobs: BlobStore, tmp_path: Path, kind: str, rows: list[dict[str, Any]]) -> str:
    return blobs.put_file(samples.write(tmp_path / "file", kind, 3, rows))


def test_the_last_ones_are_held_within_a_limit(
    blobs: BlobStore, predictions: Predictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        stored(blobs, tmp_path, "tagging", samples.labels("tagging", 50, 3, seed=seed))
        for seed in (1, 2)
    )
    first = predictions.get(one)
    assert predictions.get(one) is first
    monkeypatch.setattr(predictions_cache, "HELD_BYTES", first.size)
    predictions.get(other)
    assert predictions.get(one) is not first


def test_cocos_figures_come_from_a_process_and_are_kept(
    blobs: BlobStore, predictions: Predictions, tmp_path: Path
) -> None:
    digest = stored(blobs, tmp_path, "detection", samples.boxes(40, 3))

    def complete() -> Facts | None:
        facts = predictions.facts(digest, "train")
        return facts if facts.complete else None

    facts = eventually(complete, "COCO's figures are there")
    assert all(one.average_precision is not None for one in facts.concepts)
    assert blobs.get_derived(result_key(digest, "train")) is not None
    again = Predictions(blobs, "file:///nowhere")
    assert again.facts(digest, "train") == facts


def test_figures_that_cannot_be_worked_out_are_not_tried_for_ever(
    blobs: BlobStore, tmp_path: Path
) -> None:
    digest = stored(blobs, tmp_path, "detection", samples.boxes(40, 3))
    elsewhere = Predictions(blobs, URL.format(tmp_path / "elsewhere"))
    facts = eventually(
        lambda: (found := elsewhere.facts(digest, "train")).complete and found, "it is given up"
    )
    assert all(one.average_precision is None for one in facts.concepts)
    elsewhere.close()


def test_predictions_that_are_not_there_are_missing(predictions: Predictions) -> None:
    with pytest.raises(BlobMissing):
        predictions.get("ab" * 32)


LABELS = {"image": "i", "split": "train", "truth": [0], "scores": [0.5, 0.25, 0.25]}
TRUE = {"concept": 0, "x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}
SAID = TRUE | {"score": 0.5, "matched": 0}
BOXED = {"image": "i", "split": "train", "truth": [TRUE], "predicted": [SAID]}


@pytest.mark.parametrize(
    ("kind", "rows", "says"),
    [
        ("tagging", [LABELS, LABELS], "twice"),
        ("tagging", [LABELS | {"split": "held out"}], "split"),
        ("tagging", [LABELS, LABELS | {"image": "j", "split": "test"}], "split"),
        ("tagging", [LABELS | {"image": None}], "no id"),
        ("tagging", [LABELS | {"truth": [3]}], "unknown"),
        ("tagging", [LABELS | {"truth": [-1]}], "unknown"),
        ("tagging", [LABELS | {"truth": None}], "gaps"),
        ("tagging", [LABELS | {"truth": [None]}], "missing"),
        ("tagging", [LABELS | {"scores": [0.5]}], "missing"),
        ("tagging", [LABELS | {"scores": [0.5, 0.5, float("nan")]}], "from 0 to 1"),
        ("tagging", [LABELS | {"scores": [0.5, 0.5, 1.5]}], "from 0 to 1"),
        ("classification", [LABELS | {"truth": [0, 1]}], "exactly one true"),
        ("classification", [LABELS | {"truth": []}], "exactly one true"),
        ("detection", [BOXED | {"predicted": [SAID | {"matched": 1}]}], "not there"),
        ("detection", [BOXED | {"predicted": [SAID | {"matched": -2}]}], "not there"),
        ("detection", [BOXED | {"predicted": [SAID | {"concept": 1}]}], "another concept"),
        ("detection", [BOXED | {"predicted": [SAID, SAID]}], "matched twice"),
        ("detection", [BOXED | {"predicted": [SAID | {"score": -0.5}]}], "from 0 to 1"),
        ("detection", [BOXED | {"truth": [TRUE | {"width": float("inf")}]}], "no size"),
        ("detection", [BOXED | {"truth": [TRUE | {"concept": 7}]}], "unknown"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, kind: str, rows: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(PredictionsUnreadable, match=says):
        load(samples.write(tmp_path / "file", kind, 3, rows))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"x" * 1000])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(PredictionsUnreadable):
        load(file)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "file")
    with pytest.raises(PredictionsUnreadable, match="columns"):
        load(tmp_path / "file")


@pytest.mark.parametrize("kind", ["classification", "tagging", "detection"])
def test_a_file_without_rows_is_read(tmp_path: Path, kind: str) -> None:
    answers = load(samples.write(tmp_path / "file", kind, 3, []))
    assert answers.images.ids == []
