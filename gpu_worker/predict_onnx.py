"""`python -m gpu_worker.predict_onnx FOLDER IMAGE…`: predictions of a trainer's ONNX file.

FOLDER has `model.onnx`, and `version.json` with the version's kind and concepts. The network takes
RGB pixels of one size as `uint8` of shape (n, height, width, 3), and gives scores of shape
(n, concepts).
"""

import sys
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from PIL import Image

from adapters.images.decoding import Undecodable, decode
from domain.library.view import CLASSIFICATION
from domain.training.messages import ConceptLabel
from domain.training.model_description import ONNX_FILE

VERSION_FILE = "version.json"
THRESHOLD = 0.5
MOST_PIXELS = 10**8


class Described(msgspec.Struct, frozen=True):
    """What `version.json` has of the version."""

    kind: str
    concepts: list[ConceptLabel]


class NotAsAgreed(Exception):
    """The file takes or gives something else."""


class OnnxModel:
    """An ONNX file of a trainer's. Raises `NotAsAgreed`."""

    def __init__(self, folder: Path) -> None:
        self.described = msgspec.json.decode((folder / VERSION_FILE).read_bytes(), type=Described)
        try:
            self._session = onnxruntime.InferenceSession(
                folder / ONNX_FILE, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common class of its errors
            raise NotAsAgreed(f"the file cannot be loaded: {error}") from error
        given = self._session.get_inputs()
        shape = given[0].shape if len(given) == 1 else []
        sides = shape[1:3]
        agreed = len(shape) == 4 and shape[3] == 3 and all(isinstance(side, int) for side in sides)
        if not agreed or given[0].type != "tensor(uint8)":
            found = ", ".join(f"{one.type} {one.shape}" for one in given)
            raise NotAsAgreed(
                f"the file takes {found}; `predict` needs one input tensor(uint8) of shape"
                " (n, height, width, 3) with fixed sides"
            )
        self._input, (self._height, self._width) = given[0].name, sides

    def predict(self, data: bytes) -> dict[str, list[dict[str, object]]]:
        """`predicted` and `discarded`, by falling score. Raises `Undecodable`."""
        image: Image.Image = decode(data, MOST_PIXELS)
        pixels = np.asarray(image.resize((self._width, self._height)), np.uint8)
        output = np.asarray(self._session.run(None, {self._input: pixels[None]})[0])
        concepts = self.described.concepts
        if output.shape != (1, len(concepts)) or not np.isfinite(output).all():
            raise NotAsAgreed(
                f"the file gives {output.shape}; scores of shape (n, {len(concepts)}) are needed"
            )
        entries = [
            {"concept_id": one.concept_id, "label": one.label, "score": float(score)}
            for one, score in zip(concepts, output[0], strict=True)
        ]
        entries.sort(key=lambda entry: -float(str(entry["score"])))
        if self.described.kind == CLASSIFICATION:
            return {"predicted": entries[:1], "discarded": entries[1:]}
        reach = [entry for entry in entries if float(str(entry["score"])) >= THRESHOLD]
        return {"predicted": reach, "discarded": entries[len(reach) :]}


def main(folder: Path, images: list[str]) -> int:
    """Write predictions to stdout. Returns 1 if an image could not be read, and 2 for a file that
    is not as agreed."""
    status = 0
    try:
        model = OnnxModel(folder)
        for image in images:
            line: dict[str, object]
            try:
                line = {"image": image, **model.predict(Path(image).read_bytes())}
            except (OSError, Undecodable) as error:
                line, status = {"image": image, "error": f"{image}: {error}"}, 1
            print(msgspec.json.encode(line).decode(), flush=True)
    except NotAsAgreed as problem:
        print(f"stemma: {problem}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
