"""`python -m gpu_worker.predict_onnx FOLDER IMAGE…`: predictions of a trainer's ONNX file.

FOLDER has `model.onnx`, and `version.json` with the version's kind and concepts. The network takes
RGB pixels of one size as `uint8` of shape (n, height, width, 3), and gives scores of shape
(n, concepts).
"""

import sys
from pathlib import Path

import msgspec

from adapters.images.decoding import Undecodable, decode
from domain.library.view import CLASSIFICATION
from domain.training.messages import ConceptLabel
from domain.training.model_description import ONNX_FILE
from gpu_worker.onnx_limits import NotAsAgreed
from gpu_worker.onnx_scores import OnnxScores, running_onnx

VERSION_FILE = "version.json"
THRESHOLD = 0.5
MOST_PIXELS = 10**8


class Described(msgspec.Struct, frozen=True):
    """What `version.json` has of the version."""

    kind: str
    concepts: list[ConceptLabel]


class OnnxModel:
    """A running ONNX file of a trainer's, whose scores have names."""

    def __init__(self, described: Described, network: OnnxScores) -> None:
        self._described, self._network = described, network

    def predict(self, data: bytes) -> dict[str, list[dict[str, object]]]:
        """`predicted` and `discarded`, by falling score. Raises `Undecodable` or `NotAsAgreed`."""
        pixels = self._network.pixels(decode(data, MOST_PIXELS))
        (scores,) = self._network.scores([pixels])
        named = sorted(
            zip(self._described.concepts, scores, strict=True), key=lambda pair: -pair[1]
        )
        entries: list[dict[str, object]] = [
            {"concept_id": concept.concept_id, "label": concept.label, "score": score}
            for concept, score in named
        ]
        reach = sum(score >= THRESHOLD for score in scores)
        if self._described.kind == CLASSIFICATION:
            reach = 1
        return {"predicted": entries[:reach], "discarded": entries[reach:]}


def main(folder: Path, images: list[str]) -> int:
    """Write predictions to stdout. Returns 1 if an image could not be read, and 2 for a file that
    is not as agreed."""
    status = 0
    try:
        described = msgspec.json.decode((folder / VERSION_FILE).read_bytes(), type=Described)
        with running_onnx(folder / ONNX_FILE, len(described.concepts)) as network:
            model = OnnxModel(described, network)
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
