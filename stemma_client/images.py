"""Images and their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stemma_client import notebook
from stemma_client._generated import answers, operations
from stemma_client.downloads import download
from stemma_client.entities import Entity

if TYPE_CHECKING:
    from stemma_client.client import Stemma
    from stemma_client.views import View

Size = Literal[256, 2048]


class Image(Entity):
    """An image of a project."""

    kind = "image"

    def __init__(self, client: Stemma, row: answers.ImageRow) -> None:
        super().__init__(client, row.image_id, row.file_name)
        self.row = row

    def in_view(self, view: View) -> answers.ImageRow:
        """The image with its annotations in a view, and its revision."""
        return self.client.send(operations.get_image(self.id, view_id=view.id)).image

    def annotate(
        self,
        view: View,
        annotations: Sequence[answers.Annotation],
        *,
        revision: int | None = None,
        key: str | None = None,
    ) -> None:
        """Replace its annotations in a view; none is *without concept*.

        The image must still have this revision, by default the one that was read. Raises `Stale`.
        """
        body = answers.NewImageAnnotations(
            annotations=list(annotations), without_concept=not annotations
        )
        request = operations.annotate_image(self.id, view.id, body)
        expected = self.row.revision if revision is None else revision
        self.client.send(request, key=key, if_match=expected)
        self.row = self.in_view(view)

    def review(self, view: View) -> None:
        """Mark its annotations in a view as reviewed."""
        self.client.send(operations.review_image(self.id, view.id))

    def withdraw_review(self, view: View) -> None:
        """Withdraw the review."""
        self.client.send(operations.withdraw_review(self.id, view.id))

    def assign_split(self, split: Literal["train", "validation", "test"]) -> None:
        """Assign it to a split."""
        self.client.send(operations.assign_split(self.id, answers.ImageSplit(split=split)))

    def remove(self) -> None:
        """Remove it from the project; its history stays."""
        self.client.send(operations.remove_image(self.id))

    def erase(self, reason: str, *, everywhere: bool = False) -> None:
        """Delete its content permanently; with `everywhere` in all projects."""
        body = answers.NewErasure(reason=reason, everywhere=everywhere)
        self.client.send(operations.erase_image(self.id, body))

    def erasure(self) -> answers.ErasureRow:
        """Who erased it, when and why. Raises `NotFound` if nobody has."""
        return self.client.send(operations.get_erasure(self.id)).erasure

    def content(self) -> bytes:
        """The file as it was uploaded."""
        return self.client.send(operations.get_image_content(self.id))

    def thumbnail(self, size: Size = 256) -> bytes:
        """A thumbnail, as WebP."""
        return self.client.send(operations.get_thumbnail(self.id, size=size))

    def download(self, target: str | Path) -> Path:
        """Write the file as it was uploaded, and check its digest."""
        request = operations.get_image_content(self.id)
        return download(self.client.transport, request, Path(target), digest=self.row.blob)

    def _facts(self) -> dict[str, Any]:
        row = self.row
        return {"id": self.id, "size": f"{row.width}x{row.height}", "split": row.split}

    def _picture(self) -> str:
        return notebook.gallery([(self.name, self.thumbnail())])
