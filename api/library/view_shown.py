"""What the page of a view shows: its concepts, its library, and what a training would be."""

from datetime import datetime
from typing import Any

import msgspec

from api.dataset.projects_page import address
from api.library.concepts_page import ConceptsPage
from api.library.lineage import Tree
from api.library.messages import (
    COLUMNS,
    INDICATOR,
    NO_WORKERS,
    TRAINED_ON,
    VALIDATION_IMAGE,
    WORKERS_ONLINE,
    WORKERS_UNKNOWN,
)
from api.pages.html import indicator_of
from domain.experiments.presets import Preset, Size
from domain.experiments.trainer_space import Varied, default_varied, has_length
from domain.formatting import counted
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.augmentations import AUTO
from domain.training.form_controls import Form
from domain.training.version import ENDED
from projections.dataset.queries import DatasetCounts
from projections.experiments.experiments import CONCLUDED
from projections.experiments.queries import ExperimentRow
from projections.training.library_queries import (
    NEWEST,
    OLDEST,
    ORDERS,
    STATUSES,
    ModelRow,
    VersionRow,
)
from projections.training.trainers import TrainerRow

NARROWING = ("name", "status", "architecture", "model")
"""The filters of the library that leave versions out."""


class LibraryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of the library are shown, in which order; `cursor` is the last one seen."""

    archived: bool
    trials: bool
    sort: str
    name: str
    status: str
    architecture: str
    model: str
    cursor: str | None

    def filters(self) -> dict[str, str]:
        switches = {"archived": self.archived, "trials": self.trials}
        return {
            **{name: "true" for name, value in switches.items() if value},
            **({"sort": self.sort} if self.sort != NEWEST else {}),
            **{name: value for name in NARROWING if (value := getattr(self, name))},
        }

    @property
    def narrowed(self) -> bool:
        return any(getattr(self, name) for name in NARROWING)


class ViewPage(ConceptsPage, frozen=True, kw_only=True):
    """A view and its library at a moment; `labels` and `model_names` are by id, removed ones too.

    `models` are all that the view has, newest first. `experiments` are folded; without them, their
    trials are listed among the versions. `best` is the best version of all, `tree` the lineage.
    `started` are the times at which trainings began, by version id. `stopping` are the ids of the
    versions that end with their running epoch; `chosen` are the form's default values. `trainers`
    are those that train views of this kind. `workers` is the number of those online, None if it is
    unknown.
    """

    images: DatasetCounts
    models: list[ModelRow]
    versions: list[VersionRow]
    best: VersionRow | None
    experiments: list[ExperimentRow]
    tree: Tree
    started: dict[str, datetime]
    model_names: dict[str, str]
    form: Form
    trainers: list[TrainerRow]
    chosen: dict[str, Any]
    architectures: dict[str, str]
    stopping: set[str]
    query: LibraryQuery
    first: bool
    following: str | None
    workers: int | None = None
    sizes: dict[Preset, Size]

    @property
    def unfinished(self) -> bool:
        running = [row.state != CONCLUDED for row in self.experiments]
        return any(running) or any(version.status not in ENDED for version in self.versions)

    @property
    def sortable(self) -> tuple[str, ...]:
        return ORDERS

    @property
    def statuses(self) -> tuple[str, ...]:
        return STATUSES

    @property
    def architectures_of_kind(self) -> list[tuple[str, str]]:
        """The architectures of versions that the view can have, with their labels."""
        return [(key, label) for key, label in self.offered("architecture") if key]

    @property
    def columns(self) -> dict[str, str]:
        return COLUMNS | {"best": self.indicator_short}

    def sort_by(self, column: str) -> str:
        """The order that a click on a column's heading leads to."""
        if self.query.sort == column:
            return OLDEST if column == NEWEST else f"-{column}"
        return column

    def sorted_as(self, column: str) -> str | None:
        """Whether the rows ascend or descend by a column, as `aria-sort` says it."""
        names = {column, f"-{column}"} | ({OLDEST} if column == NEWEST else set())
        if self.query.sort not in names:
            return None
        falling = column in {"best", "images", NEWEST}
        turned = self.query.sort != column
        return "descending" if falling != turned else "ascending"

    def address(self, **others: str) -> str:
        """The library with other filters, at the same moment."""
        return self.moment.of(address(self.query.filters() | others))

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def indicator_short(self) -> str:
        return INDICATOR[self.view.kind == CLASSIFICATION]

    def forkable(self, model: ModelRow) -> list[str]:
        """The concepts that a fork of a model may have: the view's, then removed ones of its."""
        own = [concept.concept_id for concept in self.view.concepts]
        return own + [concept_id for concept_id in model.concepts if concept_id not in own]

    def current(self, model: ModelRow) -> bool:
        """Whether the model predicts all concepts of the view."""
        return set(model.concepts) == {concept.concept_id for concept in self.view.concepts}

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
        return TRAINED_ON.format(train=train, validation=counted(validation, VALIDATION_IMAGE))

    @property
    def workers_online(self) -> str:
        if self.workers is None:
            return WORKERS_UNKNOWN
        if not self.workers:
            return NO_WORKERS
        return WORKERS_ONLINE.format(counted(self.workers, "worker"))

    @property
    def searching_trainers(self) -> list[TrainerRow]:
        """The trainers that experiments can search."""
        return [trainer for trainer in self.trainers if has_length(trainer.settings)]

    def searched(self, trainer: TrainerRow) -> Varied:
        """What an experiment varies of a trainer's form by default."""
        return default_varied(trainer.settings)

    def offered(self, key: str) -> list[tuple[str, str]]:
        """The choices of a control of the form that experiments vary, with their labels."""
        (control,) = (control for control in self.form.controls() if control.key == key)
        return [(one.value, one.label) for one in control.choices if one.value != AUTO]

    @property
    def next_number(self) -> int:
        """The number of the next version of the current model."""
        return next((row.versions + 1 for row in self.models if self.current(row)), 1)

    def labels_in(self, concept_ids: list[str]) -> list[str]:
        """Labels in the view's order, those of removed concepts last."""
        order = [concept.concept_id for concept in self.view.concepts]
        index = {concept_id: number for number, concept_id in enumerate(order)}
        ordered = sorted(concept_ids, key=lambda key: (index.get(key, len(order)), key))
        return [self.labels.get(concept_id, concept_id) for concept_id in ordered]
