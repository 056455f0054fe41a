"""How good a version is: by concept, by image, by slice."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Literal

from stemma_client import notebook
from stemma_client._generated import answers, operations
from stemma_client.errors import StemmaError
from stemma_client.tables import Rows, Table

if TYPE_CHECKING:
    from stemma_client.client import Stemma

Split = Literal["train", "validation"]
Shown = Literal["all", "errors", "false_positives", "false_negatives", "misclassified"]


class Evaluation:
    """The evaluation of a version's saved checkpoint."""

    def __init__(self, client: Stemma, version_id: str) -> None:
        self._client = client
        self._id = version_id

    def summary(self, split: Split = "validation") -> answers.EvaluationView:
        """The metrics of the whole split, and each concept's."""
        return self._client.send(operations.get_evaluation(self._id, split=split))

    def concepts(self, split: Split = "validation") -> Rows[answers.ConceptResult]:
        """The metrics of each concept."""
        return Rows(self.summary(split).concepts)

    def confusion(self, split: Split = "validation") -> Table:
        """The confusion matrix: a row for each true concept, a column for each predicted one."""
        view = self._client.send(operations.get_confusion(self._id, split=split))
        labels = [concept.label for concept in view.concepts]
        columns: dict[str, list[object]] = {"actual": list(labels)}
        for at, label in enumerate(labels):
            columns[label] = [row[at] for row in view.matrix[: len(labels)]]
        return Table(columns)

    def calibration(self, split: Split = "validation") -> Rows[answers.CalibrationBin]:
        """How often predictions of a score are right."""
        return Rows(self._client.send(operations.get_calibration(self._id, split=split)).bins)

    def curve(self, concept: str, split: Split = "validation") -> answers.CurveView:
        """A concept's precision and recall over its thresholds; `concept` is an id."""
        request = operations.get_evaluation_curve(self._id, concept=concept, split=split)
        return self._client.send(request)

    def images(
        self, show: Shown = "all", *, split: Split = "validation", concept: str | None = None
    ) -> Rows[answers.ImageResult]:
        """What was predicted of each image."""
        request = operations.list_evaluated_images(
            self._id, split=split, show=show, concept=concept, limit=500
        )
        return Rows(one for page in self._client.pages(request) for one in page.items)

    def image(self, image_id: str) -> answers.ImageResult:
        """What was predicted of an image."""
        return self._client.send(operations.get_evaluated_image(self._id, image_id)).image

    def slices(self, key: str | None = None, split: Split = "validation") -> Rows[answers.Slice]:
        """The metrics on the images of each value of a metadata key."""
        return Rows(self._client.send(operations.get_slices(self._id, key=key, split=split)).items)

    def set_thresholds(self, thresholds: dict[str, float]) -> None:
        """Record the thresholds above which concepts, named by their ids, are predicted."""
        self._client.send(operations.set_thresholds(self._id, thresholds))

    def __repr__(self) -> str:
        return f"Evaluation(of version {self._id!r})"

    def _repr_html_(self) -> str:
        try:
            return notebook.gallery(self.pictures(5)) + self.concepts()._repr_html_()
        except StemmaError as error:  # it is not there yet, or was erased
            return f"<p>{html.escape(error.explanation)}</p>"

    def pictures(self, count: int) -> list[tuple[str, bytes]]:
        """Captions and pictures of the first images, wrong ones if there are any."""
        request = operations.list_evaluated_images(self._id, show="errors", limit=count)
        items = self._client.send(request).items
        if not items:
            request = operations.list_evaluated_images(self._id, limit=count)
            items = self._client.send(request).items
        return [
            (one.outcome, self._client.send(operations.get_thumbnail(one.image_id)))
            for one in items[:count]
        ]
