"""A model that was taken away answers as the worker did, as ONNX too."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.prediction_arrays import plain
from adapters.settings import Settings
from domain.training.jobs import OnnxJob
from domain.training.messages import CheckpointSaved, Completed, Evaluated, OnnxMade, TrainJob
from domain.training.model_description import DESCRIPTION_FILE, WEIGHTS_FILE, ModelDescription
from domain.training.preprocessing import outputs, preprocessing
from gpu_worker import onnx_export, predict
from gpu_worker.inference import ExportDiffers, TakenModel
from gpu_worker.onnx_export import TOLERANCE, export, largest_difference
from gpu_worker.onnx_file import SAMPLES
from stemma_client.prediction import OnnxModel, Scored
from tests.gpu_worker.at_hand import make_onnx, train_version
from tests.gpu_worker.samples import of_type
from tests.gpu_worker.test_kinds import job_of, lines_of

KINDS = ["classification", "tagging", "detection"]


class Taken:
    """A trained model in a folder, what it was asked in training, and what it said."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.blobs = BlobStore.from_url((folder / "blobs").as_uri())
        settings = Settings(data=folder, worker_name="w", device="cpu")
        # Of a detector that has learned less, scores are so near that their order is by chance.
        job = job_of(kind, self.blobs, epochs=8 if kind == "detection" else 3)
        said: list[Any] = []
        train_version(job, 1, settings, self.blobs, said.append)
        (evaluated,), (completed,) = of_type(Evaluated, said), of_type(Completed, said)
        saved = of_type(CheckpointSaved, said)[-1]
        self.folder = folder / "model"
        self.folder.mkdir()
        self.model = described(job, saved, completed)
        (self.folder / WEIGHTS_FILE).write_bytes(self.blobs.get(saved.checkpoint))
        (self.folder / DESCRIPTION_FILE).write_bytes(msgspec.json.encode(self.model))
        predictions = folder / "predictions.parquet"
        predictions.write_bytes(self.blobs.get(evaluated.predictions))
        self.rows = {row["image"]: row for row in pq.read_table(predictions).to_pylist()}
        self.images = {line.image: self.blobs.get(line.blob) for line in lines_of(kind, self.blobs)}


def described(job: TrainJob, saved: CheckpointSaved, completed: Completed) -> ModelDescription:
    return ModelDescription(
        version_id=job.version_id,
        number=1,
        name="Version 1",
        status="ready",
        kind=job.kind,
        concepts=job.concepts,
        thresholds={},
        options=job.options,
        checkpoint=saved.checkpoint,
        final_weights=completed.final_weights,
        manifest=job.manifest,
        train_images=34,
        validation_images=6,
        images_per_concept={},
        best_epoch=saved.epoch,
        best_by=saved.metric,
        best_value=saved.value,
        validation=None,
        train=None,
        predictions=None,
        initial_weights=None,
        environment={},
        log_position=1,
        described_at=2,
        preprocessing=preprocessing(job.kind, job.options, job.grey_bits),
        outputs=outputs(job.kind),
    )


@pytest.fixture(scope="module", params=KINDS)
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    return Taken(request.param, tmp_path_factory.mktemp(request.param))


def test_predictions_are_those_of_the_evaluation(taken: Taken) -> None:
    model = TakenModel.from_folder(taken.folder)
    names = [concept.concept_id for concept in taken.model.concepts]
    for image in list(taken.images)[-6:]:
        found = model.predict(taken.images[image])
        both = found["predicted"] + found["discarded"]
        for part in found.values():
            assert [one["score"] for one in part] == sorted(
                (one["score"] for one in part), reverse=True
            )
        row = taken.rows[image]
        if taken.model.kind == "detection":
            expected = [(names[box["concept"]], box["score"]) for box in row["predicted"]]
        else:
            expected = sorted(zip(names, row["scores"], strict=True), key=lambda one: -one[1])
        assert [one["concept_id"] for one in both] == [name for name, _ in expected]
        assert [one["score"] for one in both] == pytest.approx([s for _, s in expected], abs=1e-4)
        if taken.model.kind == "classification":
            assert len(found["predicted"]) == 1
        else:
            assert all(one["score"] >= 0.5 for one in found["predicted"])
            assert all(one["score"] < 0.5 for one in found["discarded"])


def test_a_score_at_its_threshold_is_predicted(taken: Taken) -> None:
    """As in the evaluation, which suggests thresholds that are scores, as the shortest decimals."""
    model = TakenModel.from_folder(taken.folder)
    for image in list(taken.images.values())[-12:]:
        found = model.predict(image)
        (first, *_) = found["predicted"] + found["discarded"]
        thresholds = {first["concept_id"]: plain(np.float32(first["score"]))}
        model.description = msgspec.structs.replace(taken.model, thresholds=thresholds)
        assert first in model.predict(image)["predicted"]


def test_the_command_writes_a_line_for_each_image(
    taken: Taken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(next(iter(taken.images.values())))
    bad.write_bytes(b"no image")
    assert predict.main(taken.folder, [str(good), str(bad), str(tmp_path / "none")]) == 1
    lines = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(line) for line in lines] == [
        ["discarded", "image", "predicted"],
        ["error", "image"],
        ["error", "image"],
    ]


def test_the_onnx_file_of_a_job_predicts_as_torch_does(taken: Taken, tmp_path: Path) -> None:
    """By the Python package, too, which reads images by copies of the server's modules."""
    settings = Settings(data=tmp_path, worker_name="w", device="cpu")
    job = OnnxJob("v", 1, taken.model, taken.model.manifest, "correlation")
    said: list[Any] = []
    make_onnx(job, settings, taken.blobs, said.append)
    (made,) = of_type(OnnxMade, said)
    assert (made.checkpoint, made.images) == (taken.model.checkpoint, SAMPLES)
    assert made.difference <= TOLERANCE
    content = taken.blobs.get(made.onnx)
    assert len(content) == made.bytes
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "images").mkdir()
    for number, data in enumerate(list(taken.images.values())[-4:]):
        (tmp_path / "images" / f"{number}.png").write_bytes(data)
    model = TakenModel.from_folder(taken.folder)
    for found in OnnxModel(tmp_path / "model.onnx").predict(tmp_path / "images"):
        expected = model.predict(Path(found.image).read_bytes())
        assert_alike(found.predicted, expected["predicted"])
        assert_alike(found.discarded, expected["discarded"])


def assert_alike(found: Sequence[Scored], expected: list[dict[str, Any]]) -> None:
    """The best first in both; two whose scores differ by a rounding may change places."""
    scores = [one["score"] for one in expected]
    assert [one.score for one in found] == pytest.approx(scores, abs=TOLERANCE)
    left = list(expected)
    for ours in found:
        alike = (number for number, theirs in enumerate(left) if is_alike(ours, theirs))
        number = next(alike, None)
        assert number is not None, f"{ours} is not among {left}"
        left.pop(number)


def is_alike(ours: Scored, theirs: dict[str, Any]) -> bool:
    return (
        ours.concept_id == theirs["concept_id"]
        and ours.score == pytest.approx(theirs["score"], abs=TOLERANCE)
        and list(ours.box or ()) == pytest.approx(list(theirs.get("box", {}).values()), abs=1e-3)
    )


def test_an_export_that_differs_leaves_no_file(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if taken.model.kind == "detection":
        pytest.skip("exporting a detector takes long; the comparison is the same")
    model = TakenModel.from_folder(taken.folder)
    write = onnx_export._write

    def write_another(model: TakenModel, path: Path, example: torch.Tensor) -> None:
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(1.5)
            write(model, path, example)
            for parameter in model.network.parameters():
                parameter.div_(1.5)

    monkeypatch.setattr(onnx_export, "_write", write_another)
    with pytest.raises(ExportDiffers):
        export(model, tmp_path / "model.onnx", [next(iter(taken.images.values()))])
    assert list(tmp_path.glob("*model.onnx*")) == []


def test_a_damaged_folder_is_no_model(taken: Taken, tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION_FILE).write_bytes((taken.folder / DESCRIPTION_FILE).read_bytes())
    whole = (taken.folder / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(io.BytesIO(whole).read(len(whole) // 2))
    with pytest.raises(Exception, match=r"(?i)header|incomplete|deserializ"):
        TakenModel.from_folder(tmp_path)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_within_no_tolerance(value: float) -> None:
    good, bad = np.zeros(3), np.array([0.0, value, 0.0])
    pairs = [(good, good), (bad, bad), (good, good)]
    assert not largest_difference(pairs) <= onnx_export.TOLERANCE
    assert largest_difference([(good, good), (good[:0], good[:0])]) == 0
