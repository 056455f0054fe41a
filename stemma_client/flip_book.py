"""The flip book: how each item was learnt, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class FlipBook:
    """The items of a version, measured after each epoch."""

    def __init__(self, client: Stemma, version_id: str) -> None:
        self._client = client
        self._id = version_id

    def summary(self) -> answers.FlipBookView:
        """The numbers of epochs, images and items that are recorded, or why nothing is."""
        return self._client.send(operations.get_flip_book(self._id))

    def epochs(self) -> Rows[answers.RecordedEpoch]:
        """The recorded epochs."""
        pages = self._client.pages(operations.list_flip_book_epochs(self._id, limit=500))
        return Rows(one for page in pages for one in page.items)

    def items(self, epoch: int) -> Rows[answers.ItemView]:
        """All items with their measures up to an epoch, the least well learned first."""
        request = operations.list_flip_book_items(self._id, epoch, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def item(self, item: str) -> answers.ItemOverEpochsView:
        """An item in each epoch."""
        return self._client.send(operations.get_flip_book_item(self._id, item))
