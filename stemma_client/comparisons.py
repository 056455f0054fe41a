"""The comparison of two versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from stemma_client._generated import answers, operations
from stemma_client.pictures import gallery_of
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Comparison:
    """The differences between two versions; `view` is the server's full answer."""

    def __init__(self, client: Stemma, view: answers.ComparisonView) -> None:
        self._client = client
        self.view = view

    @property
    def concepts(self) -> Rows[answers.ConceptComparison]:
        """Each concept's metrics in both, and their differences."""
        return Rows(self.view.concepts)

    @property
    def options(self) -> Rows[answers.OptionDifference]:
        """The options that differ."""
        return Rows(self.view.options)

    @property
    def counts(self) -> answers.ChangeCounts:
        """How many images were fixed and broken."""
        return self.view.counts

    @property
    def warnings(self) -> list[str]:
        """Why the metrics may not be comparable."""
        return self.view.warnings

    def changed(self) -> Rows[answers.ChangedImage]:
        """All images whose outcome differs."""
        first, second = self.view.first.version_id, self.view.second.version_id
        request = operations.compare_versions(first, second, split=self._split, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.changed)

    def corrected(self) -> Rows[answers.CorrectedImage]:
        """How the results changed on images whose labels were corrected in between."""
        first, second = self.view.first.version_id, self.view.second.version_id
        request = operations.list_corrected_images(first, second, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def slices(self, key: str | None = None) -> Rows[answers.SliceComparison]:
        """Both versions on the images of each value of a metadata key."""
        first, second = self.view.first.version_id, self.view.second.version_id
        request = operations.compare_slices(first, second, key=key, split=self._split)
        return Rows(self._client.send(request).items)

    @property
    def _split(self) -> Literal["train", "validation"]:
        return "train" if self.view.split == "train" else "validation"

    def __repr__(self) -> str:
        first, second = self.view.first, self.view.second
        counts = self.counts
        return (
            f"Comparison({first.name!r} with {second.name!r}: {counts.fixed} images fixed,"
            f" {counts.broken} broken)"
        )

    def _repr_html_(self) -> str:
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield self.options._repr_html_()
        yield self.concepts._repr_html_()
        changed = self.view.changed
        yield gallery_of(self._client, ((one.change, one.image_id) for one in changed))
