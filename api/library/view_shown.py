"""What the page of a view shows: its concepts, its library, and what a training would be."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from api.dataset.projects_page import address
from api.pages.html import Page, indicator_of
from api.pages.past import Moment
from domain.experiments.presets import Preset, Size
from domain.library.view import CLASSIFICATION, DETECTION, KINDS, TAGGING
from domain.training.augmentations import AUTO
from domain.training.form_controls import Form
from domain.training.version import ENDED
from projections.dataset.catalog import ProjectRow, ViewRow
from projections.dataset.queries import ConceptCount, DatasetCounts, ViewCounts
from projections.experiments.experiments import CONCLUDED
from projections.experiments.queries import ExperimentRow
from projections.training.library_queries import LibraryRow, ModelRow, VersionRow


def conditions_in_words(conditions: Sequence[Sequence[str]], labels: Mapping[str, str]) -> str:
    """Conditions of a child view, by the labels of the parent's concepts."""
    return " or ".join(" and ".join(labels.get(key, key) for key in group) for group in conditions)


NO_COUNT = ConceptCount("", 0, 0)


class LibraryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What of the library is shown; `each` is the most versions of a model."""

    archived: bool
    trials: bool
    each: int
    cursor: str | None

    def filters(self) -> dict[str, str]:
        shown = {"archived": self.archived, "trials": self.trials}
        return {name: "true" for name, value in shown.items() if value}


class ViewPage(Page, frozen=True, kw_only=True):
    """A view and its library at a moment; `labels` and `model_names` are by id, removed ones too.

    `experiments` are by model id; without them, their trials are listed among the versions.
    `stopping` are the ids of the versions that end with their running epoch; `chosen` are the
    form's default values; `workers` is the number of those online, None if it is unknown.
    """

    project: ProjectRow
    view: ViewRow
    parent: ViewRow | None
    parent_labels: dict[str, str]
    children: list[ViewRow]
    annotations: ViewCounts
    images: DatasetCounts
    library: list[LibraryRow]
    experiments: dict[str, list[ExperimentRow]]
    labels: dict[str, str]
    model_names: dict[str, str]
    form: Form
    chosen: dict[str, Any]
    architectures: dict[str, str]
    stopping: set[str]
    query: LibraryQuery
    first: bool
    following: str | None
    moment: Moment
    workers: int | None = None
    sizes: dict[Preset, Size]

    @property
    def child_kinds(self) -> list[tuple[str, str]]:
        """The kinds that a child may have, as choices of a form."""
        on_crops = self.view.crops or self.view.kind == DETECTION
        kinds = (CLASSIFICATION, TAGGING) if on_crops else KINDS
        return [(kind, kind) for kind in kinds]

    def in_words(self, view: ViewRow) -> str:
        """The conditions of this view, or of a child of it."""
        labels = self.parent_labels if view is self.view else self.labels
        return conditions_in_words(view.conditions, labels)

    @property
    def unfinished(self) -> bool:
        running = [row.state != CONCLUDED for rows in self.experiments.values() for row in rows]
        versions = [version for row in self.library for version in row.versions]
        return any(running) or any(version.status not in ENDED for version in versions)

    def entries(self, row: LibraryRow) -> list[VersionRow | ExperimentRow]:
        """A model's versions and experiments, newest first."""
        found: list[VersionRow | ExperimentRow] = [*row.versions]
        found.extend(self.experiments.get(row.model.model_id, []))
        return sorted(found, key=lambda entry: entry.created_position, reverse=True)

    def address(self, **others: str) -> str:
        """The library with other filters, at the same moment."""
        return self.moment.of(address(self.query.filters() | others))

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def indicator_short(self) -> str:
        return "Accuracy" if self.view.kind == CLASSIFICATION else "mAP"

    @property
    def changeable(self) -> bool:
        """Whether the page offers changes: now, and in a view that is not archived."""
        return not self.moment.past and not self.view.archived

    def forkable(self, model: ModelRow) -> list[str]:
        """The concepts that a fork of a model may have: the view's, then removed ones of its."""
        own = [concept.concept_id for concept in self.view.concepts]
        return own + [concept_id for concept_id in model.concepts if concept_id not in own]

    def current(self, model: ModelRow) -> bool:
        """Whether the model predicts all concepts of the view."""
        return set(model.concepts) == {concept.concept_id for concept in self.view.concepts}

    def count(self, concept_id: str) -> ConceptCount:
        counts = (row for row in self.annotations.concepts if row.concept_id == concept_id)
        return next(counts, NO_COUNT)

    @property
    def without_training(self) -> list[str]:
        """The labels of the concepts that no training image holds."""
        return [
            concept.label
            for concept in self.view.concepts
            if not self.count(concept.concept_id).train
        ]

    @property
    def trained_on(self) -> str:
        """The images of a training, as they are now, in a sentence."""
        train, validation = self.annotations.annotated.train, self.annotations.annotated.validation
        if self.view.kind == DETECTION:
            train -= self.annotations.without_concept.train
        return f"Images: {train:,} of training, {validation:,} of validation."

    @property
    def workers_online(self) -> str:
        if self.workers is None:
            return "NATS does not say which workers are online."
        if not self.workers:
            return "No worker is online: trainings wait until one is."
        return f"{self.workers} worker{' is' if self.workers == 1 else 's are'} online."

    def offered(self, key: str) -> list[tuple[str, str]]:
        """The choices of a control of the form that experiments vary, with their labels."""
        (control,) = (control for control in self.form.controls() if control.key == key)
        return [(one.value, one.label) for one in control.choices if one.value != AUTO]

    @property
    def next_number(self) -> int:
        """The number of the next version of the current model, if it is on this page."""
        return next((row.model.versions + 1 for row in self.library if self.current(row.model)), 1)

    def labels_in(self, concept_ids: list[str]) -> list[str]:
        """Labels in the view's order, those of removed concepts last."""
        order = [concept.concept_id for concept in self.view.concepts]
        index = {concept_id: number for number, concept_id in enumerate(order)}
        ordered = sorted(concept_ids, key=lambda key: (index.get(key, len(order)), key))
        return [self.labels.get(concept_id, concept_id) for concept_id in ordered]
