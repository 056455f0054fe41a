"""Groups of images that belong together by a metadata key: each is in one split, never in two."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from domain.dataset.image import SPLITS, Image
from domain.errors import Conflict, Invalid
from domain.text import refuse_unprintable

MAJORITY, DRAW = "majority", "draw"
MENDS = (MAJORITY, DRAW)
MOST_KEY = 200
LISTED = 10
"""The most torn groups that a refusal names."""


class GroupSplits(msgspec.Struct, frozen=True):
    """A group by its value of the metadata key, and its number of images in each split."""

    value: str
    images: Mapping[str, int]

    @property
    def is_torn(self) -> bool:
        return sum(count > 0 for count in self.images.values()) > 1

    @property
    def majority(self) -> str:
        """The split with most of its images; of equal ones train, then validation."""
        return max(SPLITS, key=lambda split: self.images.get(split, 0))

    def __str__(self) -> str:
        counts = (f"{self.images[split]} {split}" for split in SPLITS if self.images.get(split))
        return f"{self.value!r} ({', '.join(counts)})"


def check_key(key: str) -> str:
    """The metadata key, which need not be on any image yet. Raises `Invalid`."""
    if not 1 <= len(key) <= MOST_KEY:
        raise Invalid(f"key must have 1 to {MOST_KEY} characters, got {len(key)}", field="key")
    refuse_unprintable(key, "key")
    return key


def group_in(metadata: Mapping[str, str], key: str | None) -> str | None:
    """The value of the group that an image with this metadata is in; None where it is a group of
    its own, without the key or with an empty value."""
    return None if key is None else metadata.get(key) or None


def group_of(image: Image, key: str | None) -> str | None:
    """The value of the group that the image is in; None where it is a group of its own."""
    return group_in(image.added.metadata, key)


def groups_of(images: Iterable[tuple[str, str]]) -> list[GroupSplits]:
    """The groups, sorted by value, of images given as their group's value and their split."""
    counts: dict[str, Counter[str]] = {}
    for value, split in images:
        counts.setdefault(value, Counter())[split] += 1
    return [GroupSplits(value, counts[value]) for value in sorted(counts)]


def refuse_torn(key: str, groups: list[GroupSplits]) -> None:
    """Raises `Conflict` where splits tear groups: how many, the first of them, and what to do."""
    torn = [group for group in groups if group.is_torn]
    if not torn:
        return
    names = ", ".join(map(str, torn[:LISTED])) + (", …" if len(torn) > LISTED else "")
    raise Conflict(
        f"the splits divide {len(torn)} of {len(groups)} groups by {key!r}: {names}; with mend"
        f" {MAJORITY!r} each group moves to the split that has most of its images; with mend"
        f" {DRAW!r} the validation set and the test set are drawn again",
        field="mend",
    )
