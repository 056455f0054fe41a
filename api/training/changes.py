"""What a version changed from its parent: the one it started from, or the one before it."""

import msgspec
from sqlalchemy import Connection

from api.training.messages import BUILT_IN
from domain.training.option_facts import Fact, differing
from projections.training.library_queries import VersionRow, find_previous, find_version

NAMED_APART = {"start_from", "trainer"}
"""Options that `Change` has by other names."""


class Change(msgspec.Struct, frozen=True):
    """`options` that differ, each with the text before and now; labels of concepts; images.

    `started` says that the version started from the parent's weights. The indicators cannot be
    compared where `other_validation_set`.
    """

    parent: VersionRow
    started: bool
    options: list[tuple[str, list[str]]]
    added: list[str]
    removed: list[str]

    def trainers(self, version: VersionRow) -> tuple[str, str] | None:
        """The names of the parent's trainer and of this one's, where they are not the same: then
        nearly all options differ, and are folded."""
        before, now = (
            row.trainer.name if row.trainer else BUILT_IN for row in (self.parent, version)
        )
        return None if before == now else (before, now)

    def gain(self, version: VersionRow) -> float | None:
        """By how much the indicator is better than the parent's, where both can be compared."""
        before, now = self.parent.indicator, version.indicator
        if before is None or now is None or self.other_validation_set(version):
            return None
        return now - before

    def other_validation_set(self, version: VersionRow) -> bool:
        sets = {self.parent.validation_set, version.validation_set} - {None}
        return len(sets) > 1

    def images(self, version: VersionRow) -> list[tuple[str, int, int]]:
        """The splits whose number of images differs, with both numbers."""
        numbers = (
            ("Training images", self.parent.train_images, version.train_images),
            ("Validation images", self.parent.validation_images, version.validation_images),
        )
        return [
            (label, before, now)
            for label, before, now in numbers
            if before is not None and now is not None and before != now
        ]


def find_parent(
    connection: Connection, version: VersionRow, *, as_of: int | None = None
) -> VersionRow | None:
    """The version whose weights it started from, else the last one of the view that has some."""
    if version.options.start_from:
        return find_version(connection, version.options.start_from, as_of=as_of)
    return find_previous(connection, version, as_of=as_of)


def change_from(
    parent: VersionRow, version: VersionRow, before: list[Fact], now: list[Fact]
) -> Change:
    """The change, by the facts of both versions' options."""
    old = {concept.concept_id: concept.label for concept in parent.concepts}
    new = {concept.concept_id: concept.label for concept in version.concepts}
    kept = [[fact for fact in facts if fact.key not in NAMED_APART] for facts in (before, now)]
    return Change(
        parent=parent,
        started=version.options.start_from == parent.version_id,
        options=differing(kept),
        added=[label for key, label in new.items() if key not in old],
        removed=[label for key, label in old.items() if key not in new],
    )
