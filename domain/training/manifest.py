"""What a version trains on: a line an item, a pure function of the log up to a position."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from domain.dataset.annotation import Annotation
from domain.dataset.image import TEST, TRAIN, Image
from domain.dataset.items import Item, Parent, is_annotated, items_of
from domain.library.view import CLASSIFICATION, DETECTION, ConceptSet
from domain.training.messages import ManifestLine


class PlacedImage(msgspec.Struct, frozen=True):
    """An image's state after its `revision`-th event."""

    image_id: str
    state: Image
    revision: int


def manifest(
    images: Iterable[PlacedImage],
    view_id: str,
    kind: str,
    concepts: ConceptSet,
    *,
    negative_validation: bool,
    reviewed_only: bool,
    tests: bool = False,
    parents: Sequence[Parent] = (),
) -> Iterator[ManifestLine]:
    """The lines on which a model of these concepts trains and validates, in the images' order; with
    `tests`, those of the test set, by the rule for images that validate.

    Items are the images, or those of them, or of their crops, that the views above, `parents` with
    the nearest first, choose. Those of images of the test set are else left out, and those that are
    not annotated in the view. A classification view keeps those with one of the concepts; a tagging
    view all, with those of the concepts they hold, if any; a detection view trains on those with a
    box of one of the concepts, and with `negative_validation` validates on all, since false
    positives on the others count. With `reviewed_only`, training images count only if their
    annotations in the view are reviewed.
    """
    for image in images:
        state = image.state
        annotated = state.annotations.get(view_id)
        if (state.split == TEST) != tests or annotated is None:
            continue
        if reviewed_only and state.split == TRAIN and not state.is_reviewed(view_id):
            continue
        for item in items_of(state.annotations, parents):
            if not is_annotated(state, view_id, item, parents):
                continue
            kept = [a for a in item.own(annotated.annotations) if a.concept_id in concepts]
            if kind == CLASSIFICATION and len(kept) != 1:
                continue
            may_be_empty = negative_validation and state.split != TRAIN
            if kind == DETECTION and not kept and not may_be_empty:
                continue
            yield _line(image, item, kept)


def _line(image: PlacedImage, item: Item, kept: Sequence[Annotation]) -> ManifestLine:
    concepts = tuple(annotation.concept_id for annotation in kept)
    if item.box is not None:
        crop = msgspec.structs.astuple(item.box)
        key = item.key(image.image_id)
        return ManifestLine(key, image.state.blob, image.state.split, concepts, crop=crop)
    boxes = tuple(
        msgspec.structs.astuple(annotation.box) for annotation in kept if annotation.box is not None
    )
    return ManifestLine(image.image_id, image.state.blob, image.state.split, concepts, boxes)


class ManifestCounts(msgspec.Struct, frozen=True):
    """Items per split, and training items per concept id.

    `validation_set` is the sha256 of the keys of the items that validate, and of where crops are:
    metrics of two versions can be compared if it is the same.
    """

    train: int
    validation: int
    per_concept: dict[str, int]
    validation_set: str | None = None


class Tally:
    """Counts of manifest lines."""

    def __init__(self) -> None:
        self._splits: Counter[str] = Counter()
        self._concepts: Counter[str] = Counter()
        self._validation = hashlib.sha256()

    def add(self, line: ManifestLine) -> None:
        self._splits[line.split] += 1
        if line.split == TRAIN:
            self._concepts.update(set(line.concepts))
        else:
            crop = "" if line.crop is None else f" {line.crop}"
            self._validation.update(f"{line.image}{crop}\n".encode())

    def counts(self) -> ManifestCounts:
        train = self._splits[TRAIN]
        return ManifestCounts(
            train,
            self._splits.total() - train,
            dict(sorted(self._concepts.items())),
            self._validation.hexdigest(),
        )

    def enough(self, concepts: int) -> bool:
        """Whether there are images of both splits, and this many concepts in training."""
        both = 0 < self._splits[TRAIN] < self._splits.total()
        return both and len(self._concepts) >= concepts


def counts(lines: Iterable[ManifestLine]) -> ManifestCounts:
    tally = Tally()
    for line in lines:
        tally.add(line)
    return tally.counts()


def counts_of_enough(lines: Iterable[ManifestLine], kind: str) -> ManifestCounts:
    """The counts of the first lines that make a training possible; of all, if none do."""
    tally = Tally()
    for line in lines:
        tally.add(line)
        if tally.enough(2 if kind == CLASSIFICATION else 1):
            break
    return tally.counts()


def canonical_line(line: ManifestLine) -> bytes:
    """JSON in UTF-8 with sorted keys and no spaces, ended by a line feed."""
    return msgspec.json.encode(line, order="sorted") + b"\n"


def without_truth(line: ManifestLine) -> ManifestLine:
    """The line as somebody gets it who is to predict its image."""
    return msgspec.structs.replace(line, concepts=(), boxes=())


def digest(lines: Iterable[ManifestLine]) -> str:
    """The sha256 of the canonical lines, in hexadecimal."""
    sha256 = hashlib.sha256()
    for line in lines:
        sha256.update(canonical_line(line))
    return sha256.hexdigest()
