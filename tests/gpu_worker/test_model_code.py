"""The lines of Python in a model card answer as `stemma predict` does."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import onnx
import onnxruntime
import pytest
import timm
import torch
import torchvision

from adapters.blobs.blobs import BlobStore
from application.training.model_card import model_card
from application.training.model_code import network_lines
from domain.training.architectures import ARCHITECTURES
from domain.training.messages import CheckpointSaved, Completed
from domain.training.model_description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
)
from domain.training.options import resolve_options
from gpu_worker.checkpoint import weights
from gpu_worker.inference import TakenModel
from gpu_worker.networks import build_network
from gpu_worker.onnx_export import TOLERANCE, export
from stemma_client import ImageUnreadable, StemmaError
from stemma_client.prediction import OnnxModel
from tests.adapters.images.odd import ODD
from tests.gpu_worker.samples import coloured_job, png
from tests.gpu_worker.test_kinds import job_of
from tests.gpu_worker.test_take_away import assert_alike, described

CROP = (0.2, 0.1, 0.5, 0.6)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "classification": ("classification", {}),
    "tagging, ratio kept, margin": (
        "tagging",
        {"resizer": "keep_aspect_ratio", "max_dimension": 64, "margin_crop": 0.2},
    ),
    "crops with a margin": ("classification", {"crops": True, "margin_crop": 0.25}),
    "detection": ("detection", {}),
    "detection, ratio kept": (
        "detection",
        {"resizer": "keep_aspect_ratio", "max_dimension": 96},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with its card, as ONNX too, of a project whose 16-bit grey has 12 bits."""
    kind, options = CASES[request.param]
    folder = tmp_path_factory.mktemp("model")
    blobs = BlobStore.from_url((folder / "blobs").as_uri())
    # Of images, the margin is an option of earlier releases: the form has it for crops only.
    cut = {key: options[key] for key in ("crops", "margin_crop") if key in options}
    job = job_of(kind, blobs, **{key: value for key, value in options.items() if key not in cut})
    job = msgspec.structs.replace(
        job, grey_bits=12, options=msgspec.structs.replace(job.options, **cut)
    )
    model = described(job, CheckpointSaved("c", 1, "accuracy", 0.5, 1), Completed("c", "f", 1))
    network = build_network(kind, job.options, len(job.concepts))
    (folder / WEIGHTS_FILE).write_bytes(weights(network))
    (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.encode(model))
    (folder / CARD_FILE).write_text(model_card(model))
    export(TakenModel.from_folder(folder), folder / ONNX_FILE, [png((200, 40, 40), 1)])
    return folder


@pytest.mark.parametrize("block", [0, 1], ids=["torch", "onnx"])
@pytest.mark.parametrize(
    "image", ["grey 16 bits, 12 used", "RGBA, hidden colours", "orientation 6, JPEG", "CMYK JPEG"]
)
def test_the_lines_of_the_card_predict_as_stemma_does(
    folder: Path,
    block: int,
    image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (folder / CARD_FILE).read_text(), re.DOTALL)
    assert len(blocks) == 2
    path = tmp_path / "image"
    path.write_bytes(ODD[image].data)
    monkeypatch.chdir(folder)
    model = TakenModel.from_folder(folder)
    crop = CROP if model.description.options.crops else None
    monkeypatch.setattr(sys, "argv", ["-c", str(path), *map(str, crop or ())])
    exec(compile(blocks[block], CARD_FILE, "exec"), {})
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    both: list[Any] = [*(answer := model.predict(path.read_bytes(), crop))["predicted"]]
    both += answer["discarded"]
    if model.description.kind != "detection":
        expected = {entry["label"]: entry["score"] for entry in both}
        assert found == [pytest.approx(expected, abs=1e-5)]
        return
    assert len(found) == len(both) > 0
    for ours, theirs in zip(both, sorted(found, key=lambda box: -box["score"]), strict=True):
        assert theirs["score"] == pytest.approx(ours["score"], abs=1e-4)
    corners = sorted(_corners(entry["box"]) for entry in both)
    clipped = sorted([min(max(side, 0), 1) for side in entry["box"]] for entry in found)
    for ours, theirs in zip(corners, clipped, strict=True):
        assert theirs == pytest.approx(ours, abs=1e-3)


def test_the_package_reads_odd_images_as_stemma_does(folder: Path, tmp_path: Path) -> None:
    model, ours = TakenModel.from_folder(folder), OnnxModel(folder / ONNX_FILE)
    crop = CROP if model.description.options.crops else None
    for number, odd in enumerate(ODD.values()):
        path = tmp_path / str(number)
        path.write_bytes(odd.data)
        (found,) = ours.predict(path, box=crop)
        expected = model.predict(odd.data, crop)
        assert_alike(found.predicted, expected["predicted"])
        assert_alike(found.discarded, expected["discarded"])
    (tmp_path / "none").write_bytes(b"no image")
    with pytest.raises(ImageUnreadable, match="this is not an image"):
        ours.predict(tmp_path / "none")
    (bad,) = ours.predict(tmp_path / "non*", skip_bad=True)
    assert "this is not an image" in str(bad.error)
    if crop is None:
        with pytest.raises(StemmaError, match="not trained on crops"):
            ours.predict(tmp_path / "0", box=CROP)


def _corners(box: dict[str, float]) -> list[float]:
    return [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_the_card_builds_every_network_as_the_worker_does(key: str, tmp_path: Path) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri())
    concepts = coloured_job(blobs, lines=[]).concepts
    kind = ARCHITECTURES[key].kinds[0]  # classification and tagging have one network
    options = resolve_options(kind, {"architecture": key})
    job = msgspec.structs.replace(coloured_job(blobs, lines=[]), kind=kind, options=options)
    model = described(job, CheckpointSaved("c", 1, "accuracy", 0.5, 1), Completed("c", "f", 1))
    names: dict[str, Any] = {"torchvision": torchvision, "timm": timm}
    with torch.device("meta"):
        exec("\n".join(network_lines(model)), names)
        ours = build_network(kind, options, len(concepts)).state_dict()
    theirs = names["network"].state_dict()
    assert {name: tensor.shape for name, tensor in theirs.items()} == {
        name: tensor.shape for name, tensor in ours.items()
    }


def test_the_metadata_of_onnx_explain_the_input(folder: Path) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(folder / ONNX_FILE).metadata_props}
    described = json.loads((folder / DESCRIPTION_FILE).read_text())
    assert json.loads(properties["preprocessing"]) == described["preprocessing"]
    assert json.loads(properties["outputs"]) == described["outputs"]
    card = (folder / CARD_FILE).read_text()
    for said in ("| colour order | RGB |", "| layout | NCHW |", "| grey bits | 12 |", "## Outputs"):
        assert said in card


def test_onnx_takes_bytes_of_the_networks_size(folder: Path, tmp_path: Path) -> None:
    model, data = TakenModel.from_folder(folder), ODD["RGBA, hidden colours"].data
    target = tmp_path / ONNX_FILE
    assert export(model, target, [data], from_bytes=True) <= TOLERANCE
    session = onnxruntime.InferenceSession(target)
    _, fitted = model.read(data)
    outputs = session.run(None, {"images": fitted.pixels[None]})
    answer = model.predict(data)
    scores = [entry["score"] for part in answer.values() for entry in part]
    assert sorted(outputs[-1].ravel().tolist()) == pytest.approx(sorted(scores), abs=1e-4)
    (left,) = [one for one in onnx.load(target).metadata_props if one.key == "preprocessing"]
    described = json.loads(left.value)
    assert (described["layout"], described["dtype"], described["mean"]) == ("NHWC", "uint8", None)
