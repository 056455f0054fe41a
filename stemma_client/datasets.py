"""What a project's images are: their numbers, splits, groups, snapshots and near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Dataset:
    """The images of a project as a whole."""

    def __init__(self, client: Stemma, project_id: str) -> None:
        self._client = client
        self._id = project_id

    def summary(self) -> answers.DatasetView:
        """The number of images in each split, and annotated in each view."""
        return self._client.send(operations.get_dataset(self._id))

    def snapshots(self) -> Rows[answers.SnapshotRow]:
        """Named moments of the dataset."""
        pages = self._client.pages(operations.list_snapshots(self._id, limit=500))
        return Rows(row for page in pages for row in page.items)

    def name_snapshot(self, name: str, *, position: int | None = None) -> None:
        """Name the dataset as it is now, or at a position of the log."""
        body = answers.NewSnapshot(name=name, position=position)
        self._client.send(operations.name_snapshot(self._id, body))

    def remove_snapshot(self, name: str) -> None:
        """Remove a name."""
        self._client.send(operations.remove_snapshot(self._id, name=name))

    def difference(
        self, since: str, until: str | None = None, *, view_id: str | None = None
    ) -> Rows[answers.ImageDifference]:
        """The images that differ between two snapshots, positions or times; else until now."""
        request = operations.get_difference(
            self._id, from_=since, to=until, view_id=view_id, limit=500
        )
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def groups(self, key: str | None = None) -> Rows[answers.GroupRow]:
        """The groups of images by a metadata key, and how many of each are in which split."""
        request = operations.list_groups(self._id, key=key, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def set_group_key(
        self, key: str, *, mend: Literal["majority", "draw"] | None = None, seed: int = 0
    ) -> answers.GroupKeyResult:
        """Keep images with the same value of a metadata key in one split."""
        body = answers.NewGroupKey(key=key, mend=mend, seed=seed)
        return self._client.send(operations.set_group_key(self._id, body))

    def remove_group_key(self) -> answers.GroupKeyResult:
        """Remove the group key: images are drawn one by one again."""
        return self._client.send(operations.remove_group_key(self._id))

    def near_duplicates(self, distance: int = 6) -> Rows[answers.NearPair]:
        """Pairs of images that look alike: the bits in which their hashes differ at most."""
        request = operations.list_near_duplicates(self._id, distance=distance, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def unite_near_duplicates(self, **choices: Any) -> answers.UnitedImages:
        """Put images that look alike into one split; `choices` are those of `NearDuplicates`."""
        body = answers.NearDuplicates(**choices)
        return self._client.send(operations.assign_near_duplicates(self._id, body))
