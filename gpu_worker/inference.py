"""Inference with an exported checkpoint: images in, predictions out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.messages import Sides
from domain.training.model_description import DESCRIPTION_FILE, WEIGHTS_FILE, ModelDescription
from gpu_worker.checkpoint import load_weights
from gpu_worker.data import normalise
from gpu_worker.images import Fitted, decode
from gpu_worker.networks import build_network
from gpu_worker.tasks import relative_boxes, task_for

DEFAULT_THRESHOLD = 0.5


class ExportDiffers(Exception):
    """The exported network differs from its source."""


class TakenModel:
    """A model of weights and a description. It runs on the CPU, in float32."""

    def __init__(
        self, description: ModelDescription, weights: bytes, max_pixels: int = 10**8
    ) -> None:
        self.description = description
        self._max_pixels = max_pixels
        described = self.description.preprocessing
        self._grey_bits = described.grey_bits if described else None
        kind, concepts = self.description.kind, self.description.concepts
        self.task = task_for(kind, len(concepts))
        self.network: nn.Module = build_network(kind, self.description.options, len(concepts))
        load_weights(self.network, weights)
        self.network.eval()

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """The model that `stemma download` wrote to a folder."""
        content = (folder / DESCRIPTION_FILE).read_bytes()
        description = msgspec.json.decode(content, type=ModelDescription)
        return cls(description, (folder / WEIGHTS_FILE).read_bytes())

    def read(self, data: bytes, crop: Sides | None = None) -> tuple[Tensor, Fitted]:
        """An image, or a crop of it, as the network's input, shape (1, 3, height, width).

        Raises `ImageUnreadable`.
        """
        fitted = decode(data, self.description.options, self._max_pixels, self._grey_bits, crop)
        pixels = torch.from_numpy(fitted.pixels.copy()).permute(2, 0, 1)[None]
        return normalise(self.task, pixels), fitted

    @torch.no_grad()
    def predict(self, data: bytes, crop: Sides | None = None) -> dict[str, Any]:
        """The prediction of one image: `predicted` and `discarded`, each by falling score.

        A network that was trained on crops predicts for `crop`; without it, the image is the crop.
        Classification predicts the concept with the highest score; the others predict all that
        reach their threshold. Raises `ImageUnreadable`.
        """
        image, fitted = self.read(data, crop)
        scored = sorted(self._scored(image, fitted), key=lambda entry: -float(entry["score"]))
        predicted: list[dict[str, Any]] = []
        discarded: list[dict[str, Any]] = []
        for position, entry in enumerate(scored):
            threshold = self.description.thresholds.get(entry["concept_id"])
            if threshold is None and self.description.kind == CLASSIFICATION:
                threshold = 0.0
            # As in the evaluation, whose scores and thresholds have 32 bits.
            least = np.float32(DEFAULT_THRESHOLD if threshold is None else threshold)
            reaches = bool(entry["score"] >= least)
            if self.description.kind == CLASSIFICATION:
                reaches = reaches and position == 0
            (predicted if reaches else discarded).append(entry)
        return {"predicted": predicted, "discarded": discarded}

    def _scored(self, image: Tensor, fitted: Fitted) -> Iterator[dict[str, Any]]:
        scores = self.task.scores(self.network, image)
        concepts = self.description.concepts
        if self.description.kind == DETECTION:
            (boxes,) = scores
            size = (fitted.width, fitted.height)
            for box, score in zip(
                relative_boxes(boxes, size), boxes["scores"].tolist(), strict=True
            ):
                concept = concepts[box.pop("concept")]
                yield _named(concept, score) | {"box": box}
            return
        for concept, score in zip(concepts, scores[0].tolist(), strict=True):
            yield _named(concept, score)


def _named(concept: Any, score: float) -> dict[str, Any]:
    return {"concept_id": concept.concept_id, "label": concept.label, "score": score}
