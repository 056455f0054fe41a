"""Labels that are doubtful, by how the training went."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from stemma_client._generated import answers, operations
from stemma_client.errors import StemmaError
from stemma_client.pictures import gallery_of
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma

State = Literal["open", "unsure", "upheld", "corrected", "changed", "all"]


class Suspects:
    """The doubtful labels of a version's dataset, most doubtful first."""

    def __init__(self, client: Stemma, version_id: str) -> None:
        self._client = client
        self._id = version_id

    def list(self, state: State = "open") -> Rows[answers.SuspectView]:
        """Suspects in a state, or `all`."""
        request = operations.list_suspects(self._id, state=state, limit=500)
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def __repr__(self) -> str:
        return f"Suspects(of version {self._id!r})"

    def _repr_html_(self) -> str:
        try:
            found = self.list()
        except StemmaError as error:
            return f"<p>{html.escape(error.explanation)}</p>"
        captions = ((f"{one.label}: {one.measure}", one.image_id) for one in found)
        return gallery_of(self._client, captions) + found._repr_html_()

    def decide(
        self,
        decision: Literal["upheld", "unsure"],
        items: Sequence[str],
        *,
        key: str | None = None,
    ) -> None:
        """Uphold labels as right, or leave them unsure."""
        body = answers.NewDecisions(decision=decision, items=list(items))
        self._client.send(operations.decide_suspects(self._id, body), key=key)

    def correct(self, corrections: Sequence[answers.Correction], *, key: str | None = None) -> None:
        """Correct the annotations of images with wrong labels."""
        body = answers.NewDecisions(decision="corrected", corrections=list(corrections))
        self._client.send(operations.decide_suspects(self._id, body), key=key)
