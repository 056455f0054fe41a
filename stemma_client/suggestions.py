"""Suggestions: what a version predicts of images that are not annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Suggestions:
    """The suggestions in a view."""

    def __init__(self, client: Stemma, view_id: str) -> None:
        self._client = client
        self._id = view_id

    def request(self, version_id: str, *, key: str | None = None) -> None:
        """Request suggestions of a version for all images that are not annotated."""
        body = answers.NewSuggestions(version_id=version_id)
        self._client.send(operations.request_suggestions(self._id, body), key=key)

    def summary(self) -> answers.SuggestionsView:
        """The newest request, and the first suggestions to review."""
        return self._client.send(operations.list_suggestions(self._id))

    def list(self, limit: int = 100) -> Rows[answers.Suggestion]:
        """The first suggestions to review."""
        return Rows(self._client.send(operations.list_suggestions(self._id, limit=limit)).items)

    def of(self, image_id: str) -> answers.EvaluationSuggestionsSuggestionView:
        """The suggestion of an image."""
        return self._client.send(operations.get_suggestion(self._id, image_id))

    def accept(
        self,
        image_ids: Sequence[str] = (),
        *,
        least_score: float | None = None,
        key: str | None = None,
    ) -> None:
        """Accept suggestions as annotations: for these images, or all with at least a score."""
        body = answers.AcceptedSuggestions(image_ids=list(image_ids), least_score=least_score)
        self._client.send(operations.accept_suggestions(self._id, body), key=key)

    def reject(self, image_ids: Sequence[str], *, key: str | None = None) -> None:
        """Reject suggestions."""
        body = answers.RejectedSuggestions(image_ids=list(image_ids))
        self._client.send(operations.reject_suggestions(self._id, body), key=key)
