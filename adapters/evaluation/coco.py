"""COCO's average precision of boxes, by faster-coco-eval: `python -m adapters.evaluation.coco`.

It holds some 2 kB a box and takes seconds for 100,000 boxes of a concept, so it runs in a process
of its own and leaves its result beside the predictions, whose content never changes.
"""

import os
import sys
import threading
from typing import Any

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.answers import Bools, Boxes, BoxTable

MAX_BOXES = 100
"""Boxes of a concept in an image that are looked at, those of the highest scores."""


class CocoPrecision(msgspec.Struct, frozen=True):
    """A concept's average precision at IoU 0.50, and over 0.50 to 0.95; None without true boxes."""

    at_50: float | None
    average: float | None


def result_key(digest: str, split: str) -> str:
    """Where the result is kept, among what the blob store can make again."""
    return f"evaluation/coco-1/{digest}-{split}.json"


def coco_precision(answers: Boxes, concept: int, within: Bools) -> CocoPrecision:
    """The average precision of a concept as COCO defines it, on the images of `within`.

    Coordinates are shares of the image's sides: IoU is the same in them as in pixels.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    true = _annotations(answers.truth, concept, within)
    if not true:
        return CocoPrecision(None, None)
    said = _annotations(answers.predicted, concept, within, answers.scores)
    images = sorted({one["image_id"] for one in [*true, *said]})
    known = COCO(
        {
            "images": [{"id": image} for image in images],
            "categories": [{"id": concept}],
            "annotations": true,
        }
    )
    evaluation = COCOeval_faster(known, known.loadRes(said), "bbox", print_function=_silent)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [MAX_BOXES]
    evaluation.evaluate()
    evaluation.accumulate()
    # Axes: IoU, recall, concept, area, boxes an image.
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]
    return CocoPrecision(float(precision[0].mean()), float(precision.mean()))


def _annotations(
    table: BoxTable, concept: int, within: Bools, scores: Any = None
) -> list[dict[str, Any]]:
    chosen = np.flatnonzero((table.concept == concept) & within[table.image])
    found = [
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
        for one, score in zip(found, scores[chosen].tolist(), strict=True):
            one["score"] = score
    return found


def _silent(*_: object) -> None:
    pass


def main(blobs_url: str, digest: str, split: str) -> None:
    """Work out every concept's precision and keep it. Raises what reading predictions raises."""
    from adapters.evaluation.loading import load_blob

    blobs = BlobStore.from_url(blobs_url)
    answers = load_blob(blobs, digest)
    assert isinstance(answers, Boxes)
    within = answers.images.in_split(split)
    found = [coco_precision(answers, c, within) for c in range(len(answers.concepts))]
    blobs.put_derived(result_key(digest, split), msgspec.json.encode(found))


def _end_with_parent() -> None:
    """The parent holds the other end of the standard input, and never writes."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(*sys.argv[1:])
