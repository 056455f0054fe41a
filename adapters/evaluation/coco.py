"""COCO's average precision of boxes, by faster-coco-eval: `python -m adapters.evaluation.coco`.

It needs some 2 kB a box and takes seconds for 100,000 boxes of a concept. So it runs in its own
process and stores its result beside the predictions, whose content never changes.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.blobs.derived import run_computation
from adapters.evaluation.prediction_arrays import Bools, Boxes, BoxTable

MAX_BOXES = 100
"""Boxes of a concept in an image that are evaluated: those with the highest scores."""


class CocoPrecision(msgspec.Struct, frozen=True):
    """A concept's average precision at IoU 0.50, and over 0.50 to 0.95; None without true boxes."""

    at_50: float | None
    average: float | None


def result_key(digest: str, split: str) -> str:
    """The key of the result among the derived entries of the blob store."""
    return f"evaluation/coco-1/{digest}-{split}.json"


def coco_precision(predictions: Boxes, concept: int, within: Bools) -> CocoPrecision:
    """The average precision of a concept as COCO defines it, on the images of `within`."""
    found = box_precision(predictions, concept, within)
    return CocoPrecision(None, None) if found is None else CocoPrecision(found.at_50, found.average)


class BoxPrecision(NamedTuple):
    """A concept's average precision over IoU 0.50 to 0.95, at 0.50, and at 0.75."""

    average: float
    at_50: float
    at_75: float


def box_precision(predictions: Boxes, concept: int, within: Bools) -> BoxPrecision | None:
    """COCO's average precision of a concept; None without true boxes.

    Coordinates are shares of the image's sides: IoU is the same as in pixels.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    true = _annotations(predictions.truth, concept, within)
    if not true:
        return None
    predicted = _annotations(predictions.predicted, concept, within, predictions.scores)
    images = sorted({annotation["image_id"] for annotation in [*true, *predicted]})
    truth = COCO(
        {
            "images": [{"id": image} for image in images],
            "categories": [{"id": concept}],
            "annotations": true,
        }
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(predicted), "bbox", print_function=_silent)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MAX_BOXES]
    evaluation.evaluate()
    evaluation.accumulate()
    # Axes: IoU, recall, concept, area, boxes an image.
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]
    at_50, at_75 = precision[0], precision[5]
    return BoxPrecision(float(precision.mean()), float(at_50.mean()), float(at_75.mean()))


def _annotations(
    table: BoxTable, concept: int, within: Bools, scores: Any = None
) -> list[dict[str, Any]]:
    chosen = np.flatnonzero((table.concept == concept) & within[table.image])
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": concept,
            "bbox": sides,
            "area": sides[2] * sides[3],
            "iscrowd": 0,
            "segmentation": [],
        }
        for number, (image, sides) in enumerate(
            zip(
                table.image[chosen].tolist(),
                table.sides[chosen].astype(np.float64).tolist(),
                strict=True,
            ),
            start=1,
        )
    ]
    if scores is not None:
        for annotation, score in zip(annotations, scores[chosen].tolist(), strict=True):
            annotation["score"] = score
    return annotations


def _silent(*_: object) -> None:
    pass


def main(blobs_url: str, digest: str, split: str) -> None:
    """Compute every concept's precision and store it. Raises what `load_blob` raises."""
    from adapters.evaluation.loading import load_blob

    blobs = BlobStore.from_url(blobs_url)
    predictions = load_blob(blobs, digest)
    assert isinstance(predictions, Boxes)
    within = predictions.images.in_split(split)
    precisions = [coco_precision(predictions, c, within) for c in range(len(predictions.concepts))]
    blobs.put_derived(result_key(digest, split), msgspec.json.encode(precisions))


if __name__ == "__main__":
    run_computation(main)
