"""The dataset at a position of the log, and the manifest of what a version trains on.

Both are pure functions of the image events up to that position, so anyone can rebuild them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

import msgspec

from domain import image as images
from domain.event import Event, Recorded
from domain.image import TRAIN, VALIDATION, Image, ImageAdded
from domain.messages import ManifestLine
from domain.view import CLASSIFICATION


class DatasetImage(msgspec.Struct):
    """An image's state after its `revision`-th event."""

    state: Image
    revision: int


class Dataset:
    """A project's images, folded from the log."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self._images: dict[str, DatasetImage] = {}

    def apply(self, recorded: Recorded) -> None:
        """Take in the next image event of the log, of this project or another."""
        known = self._images.get(recorded.entity_id)
        event: Event = recorded.event
        ours = isinstance(event, ImageAdded) and event.project_id == self.project_id
        if known is None and not ours:
            return
        state = images.evolve(known.state if known else None, event)
        assert state is not None
        self._images[recorded.entity_id] = DatasetImage(state, recorded.originator_version)

    def images(self) -> dict[str, DatasetImage]:
        """The images that have not been removed, by id."""
        return {key: found for key, found in self._images.items() if not found.state.removed}

    def manifest(self, view_id: str, kind: str, concepts: Iterable[str]) -> list[ManifestLine]:
        """What a model of these concepts trains and validates on, sorted by image id.

        Classification takes every image with exactly one of the concepts.
        """
        if kind != CLASSIFICATION:
            raise NotImplementedError(f"no manifest is made of a {kind} view yet")
        wanted = frozenset(concepts)
        lines = []
        for image_id, found in sorted(self.images().items()):
            annotated = found.state.annotations.get(view_id)
            held = tuple(a.concept_id for a in annotated.annotations) if annotated else ()
            if len(held) == 1 and held[0] in wanted:
                lines.append(ManifestLine(image_id, found.state.blob, found.state.split, held))
        return lines


class ManifestCounts(msgspec.Struct, frozen=True):
    """Images per split, and training images per concept id."""

    train: int
    validation: int
    per_concept: dict[str, int]


def counts(lines: Iterable[ManifestLine]) -> ManifestCounts:
    splits: Counter[str] = Counter()
    concepts: Counter[str] = Counter()
    for line in lines:
        splits[line.split] += 1
        if line.split == TRAIN:
            concepts.update(line.concepts)
    return ManifestCounts(splits[TRAIN], splits[VALIDATION], dict(sorted(concepts.items())))


def canonical_bytes(lines: Iterable[ManifestLine]) -> bytes:
    """JSON lines in UTF-8 with sorted keys and no spaces, one image a line."""
    return b"".join(msgspec.json.encode(line, order="sorted") + b"\n" for line in lines)


def digest(lines: Iterable[ManifestLine]) -> str:
    """The sha256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(canonical_bytes(lines)).hexdigest()
