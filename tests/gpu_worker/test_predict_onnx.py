"""Predictions of trainers' ONNX files, whatever they are."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from gpu_worker.predict_onnx import main

CONCEPTS = [{"concept_id": f"c{number}", "label": label} for number, label in enumerate("ab")]


def write(folder: Path, kind: str = "classification", *, takes: int = TensorProto.UINT8) -> Path:
    """A network whose scores are the shares of red and green among all values of the pixels."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["values"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["values", "axes"], ["means"], keepdims=0),
            helper.make_node("Gather", ["means", "both"], ["two"], axis=1),
            helper.make_node("Mul", ["two", "scale"], ["scores"]),
        ],
        "network",
        [helper.make_tensor_value_info("pixels", takes, ["n", 4, 6, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("both", TensorProto.INT64, [2], [0, 1]),
            helper.make_tensor("scale", TensorProto.FLOAT, [1], [1 / 255]),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
    described = {"kind": kind, "concepts": CONCEPTS}
    (folder / "version.json").write_bytes(msgspec.json.encode(described))
    picture = folder / "picture.png"
    colours = np.full((8, 8, 3), (51, 255, 0), np.uint8)
    Image.fromarray(colours).save(picture)
    return picture


@pytest.mark.parametrize(
    ("kind", "predicted", "discarded"),
    [("classification", ["b"], ["a"]), ("tagging", ["b"], ["a"])],
)
def test_scores_are_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    predicted: list[str],
    discarded: list[str],
) -> None:
    picture = write(tmp_path, kind)
    assert main(tmp_path, [str(picture)]) == 0
    line = msgspec.json.decode(capsys.readouterr().out)
    assert [one["label"] for one in line["predicted"]] == predicted
    assert [one["label"] for one in line["discarded"]] == discarded
    assert line["discarded"][0]["score"] == pytest.approx(0.2)


def test_what_cannot_be_read_or_loaded_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert main(tmp_path, [str(broken)]) == 1
    assert "broken.png" in msgspec.json.decode(capsys.readouterr().out)["error"]
    (tmp_path / "model.onnx").write_bytes(b"no network")
    assert main(tmp_path, []) == 2
    assert "the file cannot be loaded" in capsys.readouterr().err
    write(tmp_path, takes=TensorProto.FLOAT)
    assert main(tmp_path, []) == 2
    assert "the file takes tensor(float) ['n', 4, 6, 3]" in capsys.readouterr().err
