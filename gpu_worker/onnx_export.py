"""`python -m gpu_worker.onnx_export FOLDER FILE IMAGE…`: the network as ONNX, checked on images.

The input `images` are what `gpu_worker.inference` makes of them: float32, (n, 3, height, width),
for classification and tagging normalised by ImageNet's mean and deviation, for detection 0 to 1.
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
from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import TakenModel

TOLERANCE = 1e-4
"""The largest difference from torch: of scores, and of boxes as shares of the image."""


_OUTPUTS = ["boxes", "labels", "scores"]


class ExportDiffers(Exception):
    """The exported network differs from its source."""


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


def export(model: TakenModel, target: Path, samples: Sequence[bytes]) -> float:
    """Write the file and return the largest difference on the samples.

    Raises `ExportDiffers`, and then leaves no file.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        images = [model.read(sample)[0] for sample in samples]
        _write(model, partial, images[0])
        difference = _difference(model, partial, images)
        if not difference <= TOLERANCE:
            raise ExportDiffers(
                f"ONNX answers otherwise than torch, by {difference:.2g}; nothing was written"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def _write(model: TakenModel, path: Path, example: Tensor) -> None:
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; the new one cannot export torchvision's detectors.
        warnings.simplefilter("ignore")
        if model.description.kind == DETECTION:
            torch.onnx.export(
                _Boxes(model).eval(),
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
                _Scores(model).eval(),
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
    onnx.helper.set_model_props(graph, {"stemma": description})
    onnx.save(graph, path)


@torch.no_grad()
def _difference(model: TakenModel, path: Path, images: Sequence[Tensor]) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    width, height = model.description.options.input_size
    worst = 0.0
    for image in images:
        outputs: Any = session.run(None, {"images": image.numpy()})
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


def largest_difference(pairs: Sequence[tuple[Any, Any]]) -> float:
    """The largest difference of two arrays of a pair; NaN, within no tolerance, if one is NaN.

    Unlike numpy's, the built-in maximum would lose it.
    """
    differences = [np.abs(ours - theirs).max(initial=0) for ours, theirs in pairs]
    return float(np.max(differences, initial=0))


def main(folder: Path, target: Path, samples: list[str]) -> int:
    """Export. Prints the reason and returns 1 if this fails."""
    try:
        difference = export(
            TakenModel(folder), target, [Path(sample).read_bytes() for sample in samples]
        )
    except (ExportDiffers, ImageUnreadable, OSError) as error:
        print(f"stemma: {error}", file=sys.stderr)
        return 1
    print(f"differs from torch by at most {difference:.2g} on {len(samples)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
