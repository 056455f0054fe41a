"""`python -m gpu_worker.onnx_export FOLDER FILE INPUT IMAGE…`: a network as ONNX, and its check.

With the input `float32`, `images` are what `gpu_worker.inference` makes of them: (n, 3, height,
width), for classification and tagging normalised by ImageNet's mean and deviation, for detection 0
to 1. With `uint8` they are RGB pixels, (n, height, width, 3), and the rest is inside.
The outputs are `scores`, (n, concepts), for detection of one image `boxes` (corners in pixels),
`labels` (concepts from 1) and `scores`.
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from domain.library.view import DETECTION
from domain.training.preprocessing import Preprocessing
from gpu_worker.data import normalise
from gpu_worker.images import Fitted, ImageUnreadable
from gpu_worker.inference import ExportDiffers, TakenModel

TOLERANCE = 1e-4
"""The largest difference from torch: of scores, and of boxes as shares of the image."""


_OUTPUTS = ["boxes", "labels", "scores"]


class _Scores(nn.Module):
    """The exported module of a classifier."""

    def __init__(self, model: TakenModel) -> None:
        super().__init__()
        self._task, self.network = model.task, model.network

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self._task.scores(self.network, images)
        return scores


class _Boxes(nn.Module):
    """The exported module of a detector, for one image at a time."""

    def __init__(self, model: TakenModel) -> None:
        super().__init__()
        self.network = model.network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (boxes,) = self.network([images[0]])
        return boxes["boxes"], boxes["labels"], boxes["scores"]


class _FromBytes(nn.Module):
    """A module that scales, normalises and transposes its input itself."""

    def __init__(self, model: TakenModel, module: nn.Module) -> None:
        super().__init__()
        self._task, self.module = model.task, module

    def forward(self, images: Tensor) -> Any:
        return self.module(normalise(self._task, images.permute(0, 3, 1, 2)))


def export(
    model: TakenModel, target: Path, samples: Sequence[bytes], *, from_bytes: bool = False
) -> float:
    """Write the file and return the largest difference on the samples.

    `from_bytes` makes it take uint8 pixels.

    Raises `ExportDiffers`, and then leaves no file.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        images = [model.read(sample) for sample in samples]
        inputs = [_input(image, from_bytes=from_bytes) for image in images]
        _write(model, partial, inputs[0])
        difference = _difference(model, partial, [image for image, _ in images], inputs)
        if not difference <= TOLERANCE:
            raise ExportDiffers(
                f"the outputs of the ONNX file differ from torch's by {difference:.2g}; nothing was"
                " written"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def _input(image: tuple[Tensor, Fitted], *, from_bytes: bool) -> Tensor:
    tensor, fitted = image
    return torch.from_numpy(fitted.pixels.copy())[None] if from_bytes else tensor


def _module(model: TakenModel, example: Tensor) -> nn.Module:
    module = _Boxes(model) if model.description.kind == DETECTION else _Scores(model)
    return (_FromBytes(model, module) if example.dtype == torch.uint8 else module).eval()


def _write(model: TakenModel, path: Path, example: Tensor) -> None:
    module = _module(model, example)
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; the new one cannot export torchvision's detectors.
        warnings.simplefilter("ignore")
        if model.description.kind == DETECTION:
            torch.onnx.export(
                module,
                (example,),
                path,
                dynamo=False,
                opset_version=17,
                input_names=["images"],
                output_names=_OUTPUTS,
                dynamic_axes={
                    "boxes": {0: "found"},
                    "labels": {0: "found"},
                    "scores": {0: "found"},
                },
            )
        else:
            torch.onnx.export(
                module,
                (torch.cat((example, example)),),
                path,
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=["images"],
                output_names=["scores"],
                dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            )
    graph = onnx.load(path)
    description = msgspec.json.encode(model.description).decode()
    properties = {"stemma": description}
    for key, value in (
        ("preprocessing", _described(model, example)),
        ("outputs", model.description.outputs),
    ):
        if value is not None:
            properties[key] = msgspec.json.encode(value).decode()
    onnx.helper.set_model_props(graph, properties)
    onnx.save(graph, path)


def _described(model: TakenModel, example: Tensor) -> Preprocessing | None:
    """What is left to do for a program that runs the file."""
    described = model.description.preprocessing
    if described is None or example.dtype != torch.uint8:
        return described
    return msgspec.structs.replace(
        described,
        scale=1.0,
        normalisation="inside the network",
        mean=None,
        std=None,
        layout="NHWC",
        dtype="uint8",
    )


@torch.no_grad()
def _difference(
    model: TakenModel, path: Path, images: Sequence[Tensor], inputs: Sequence[Tensor]
) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    width, height = model.description.options.input_size
    worst = 0.0
    for image, given in zip(images, inputs, strict=True):
        outputs: Any = session.run(None, {"images": given.numpy()})
        if model.description.kind != DETECTION:
            pairs = [(model.task.scores(model.network, image).numpy(), outputs[0])]
        else:
            expected = [output.numpy() for output in _Boxes(model)(image)]
            if [array.shape for array in expected] != [array.shape for array in outputs]:
                return float("inf")
            sides = np.array([width, height, width, height])
            pairs = [
                (expected[0] / sides, outputs[0] / sides),
                (expected[1], outputs[1]),
                (expected[2], outputs[2]),
            ]
        worst = float(np.maximum(worst, largest_difference(pairs)))
    return worst


def _readable(model: TakenModel, path: Path) -> bytes:
    """The content of an image file. Raises `ImageUnreadable` with its path."""
    data = path.read_bytes()
    try:
        model.read(data)
    except ImageUnreadable as error:
        raise ImageUnreadable(f"{path}: {error}") from error
    return data


def largest_difference(pairs: Sequence[tuple[Any, Any]]) -> float:
    """The largest difference of two arrays of a pair; NaN, within no tolerance, if one is NaN.

    Unlike numpy's, the built-in maximum would lose it.
    """
    differences = [np.abs(ours - theirs).max(initial=0) for ours, theirs in pairs]
    return float(np.max(differences, initial=0))


def main(folder: Path, target: Path, samples: list[str], *, from_bytes: bool = False) -> int:
    """Export. Prints the reason and returns 1 if this fails."""
    try:
        model = TakenModel.from_folder(folder)
        contents = [_readable(model, Path(sample)) for sample in samples]
        difference = export(model, target, contents, from_bytes=from_bytes)
    except (ExportDiffers, ImageUnreadable, OSError) as error:
        print(f"stemma: {error}", file=sys.stderr)
        return 1
    print(f"differs from torch by at most {difference:.2g} on {len(samples)} images")
    return 0


if __name__ == "__main__":
    _, source, file, taken, *given = sys.argv
    sys.exit(main(Path(source), Path(file), given, from_bytes=taken == "uint8"))
