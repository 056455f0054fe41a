"""Suspects: items whose label deserves a second look, each with the reason in words."""

from collections.abc import Mapping, Sequence

import msgspec

from domain.dataset.annotation import Box, DoubtedLabel
from domain.dataset.items import image_id_of
from domain.dataset.suspects import Suggestion

AUM, CONFIDENCE, LOSS = "aum", "confidence", "loss"
MARGIN, QUALITY = "margin", "label_quality"


class Suspect(msgspec.Struct, frozen=True):
    """A label in doubt. `rank` counts from 1 within the split; a lower `score` is more suspect.

    `item` is its key in the flip book; a box that is missing has a key of its own.
    """

    item: str
    image_id: str
    split: str
    rank: int
    score: float
    measure: str
    label: DoubtedLabel
    suggestion: Suggestion
    reason: str


def on_images(suspects: Sequence[Suspect], crops: Mapping[str, Box]) -> list[Suspect]:
    """Suspects among crops as those of their images: labels and suggestions are at the crops."""
    return [
        msgspec.structs.replace(
            suspect,
            image_id=image_id_of(suspect.image_id),
            label=msgspec.structs.replace(suspect.label, box=crop),
            suggestion=msgspec.structs.replace(suspect.suggestion, box=crop),
        )
        for suspect in suspects
        if (crop := crops.get(suspect.image_id)) is not None
    ]


def ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    """Suspects of a split by rising score; those of the same key once."""
    by_item: dict[str, Suspect] = {}
    for suspect in sorted(suspects, key=lambda each: (each.score, each.item)):
        by_item.setdefault(suspect.item, suspect)
    return [
        msgspec.structs.replace(suspect, rank=rank)
        for rank, suspect in enumerate(by_item.values(), start=1)
    ]


def missing_key(image_id: str, concept: int, box: Box) -> str:
    """The key of a box that no annotation has: its place in thousandths."""
    sides = "-".join(str(round(1000 * side)) for side in msgspec.structs.astuple(box))
    return f"{image_id}:missing-{concept}-{sides}"


def quoted(labels: Mapping[str, str], concept_id: str) -> str:
    """A concept as reasons name it."""
    return f"'{labels.get(concept_id, concept_id)}'"
