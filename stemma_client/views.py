"""Views: questions about images, with their concepts, annotations and models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stemma_client._generated import answers, operations
from stemma_client.adoption import adopt, dataset_of
from stemma_client.entities import Entity, ensuring
from stemma_client.errors import Conflict, StemmaError
from stemma_client.experiments import Experiment
from stemma_client.form import FormTable, form_table
from stemma_client.manifests import ManifestLine
from stemma_client.models import Model
from stemma_client.pictures import MOST, gallery_of
from stemma_client.suggestions import Suggestions
from stemma_client.tables import Rows
from stemma_client.versions import Version

if TYPE_CHECKING:
    from stemma_client.client import Stemma

Kind = Literal["classification", "tagging", "detection"]
PER_REQUEST = 500
"""Images that are annotated by one command."""


class View(Entity):
    """A question about the images of a project, and the models that answer it."""

    kind = "view"

    def __init__(self, client: Stemma, row: answers.ViewRow) -> None:
        super().__init__(client, row.view_id, row.name)
        self.row = row

    @property
    def concepts(self) -> dict[str, str]:
        """The ids of its concepts, by their labels."""
        return {concept.label: concept.concept_id for concept in self.row.concepts}

    def refresh(self) -> View:
        """Read it again."""
        self.row = self.client.send(operations.get_view(self.id)).view
        self.name = self.row.name
        return self

    def summary(self) -> answers.ViewView:
        """Its concepts, and how many images are annotated with each."""
        return self.client.send(operations.get_view(self.id))

    def form(self) -> FormTable:
        """The options of a training: defaults, ranges and choices."""
        return form_table(self.client.send(operations.get_form(self.row.kind)))

    def train(
        self,
        *,
        name: str | None = None,
        preset: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> Version:
        """Start a training; `options` are those of `form`. The others are those of the `preset`,
        quick, balanced or accurate, or have their defaults.

        With a `key` it is started once: the same call later, with the same options, returns the
        version that was started first. Keys never expire.
        """
        body = answers.NewVersion(name=name, preset=preset, options=options)
        started = self.client.send(operations.start_training(self.id, body), key=key)
        return self.client.version(started.id)

    def dataset(self) -> Rows[ManifestLine]:
        """What a version of its current model would be trained on now: a line an image."""
        return dataset_of(self.client, self.id)

    def adopt(
        self,
        weights: str | Path,
        predictions: str | Path,
        *,
        trainer: str,
        name: str | None = None,
        key: str | None = None,
        **settings: Any,
    ) -> Version:
        """Bring a model that was trained before Stemma, by a registered trainer's code.

        `predictions` is a Parquet file with its scores for every image of `dataset`: the server
        measures them. The version is marked as adopted, its training not witnessed.
        """
        version_id = adopt(self.client, self.id, weights, predictions, trainer, name, settings, key)
        return self.client.version(version_id)

    def estimate_training(
        self, *, preset: str | None = None, **options: Any
    ) -> answers.TrainingEstimate:
        """Its images, what is queued before it, and about how long it takes, if that is known."""
        given = json.dumps(options)
        return self.client.send(operations.estimate_training(self.id, preset=preset, options=given))

    def versions(self, *, archived: bool = False) -> Rows[Version]:
        """All its versions, newest first."""
        request = operations.list_versions(view_id=self.id, archived=archived, limit=500)
        pages = self.client.pages(request)
        return Rows(Version(self.client, row) for page in pages for row in page.items)

    def models(self) -> Rows[Model]:
        """Its models, newest first: one for each set of concepts."""
        request = operations.list_models(self.id, versions_each=0, limit=500)
        pages = self.client.pages(request)
        return Rows(Model(self.client, row.model) for page in pages for row in page.items)

    def add_concepts(self, *labels: str, key: str | None = None) -> View:
        """Add concepts to it."""
        body = answers.NewConcepts(labels=list(labels))
        self.client.send(operations.add_concepts(self.id, body), key=key)
        return self.refresh()

    def rename_concept(self, label: str, new_label: str) -> View:
        """Give a concept another label."""
        body = answers.NewLabel(label=new_label)
        self.client.send(operations.rename_concept(self.id, self.concept_id(label), body))
        return self.refresh()

    def remove_concept(self, label: str) -> View:
        """Remove a concept."""
        self.client.send(operations.remove_concept(self.id, self.concept_id(label)))
        return self.refresh()

    def concept_id(self, label: str) -> str:
        """The id of a concept, by its label or its id. Raises `StemmaError`."""
        concepts = self.concepts
        if label in concepts:
            return concepts[label]
        if label in concepts.values():
            return label
        known = ", ".join(concepts) or "none"
        raise StemmaError(f"view {self.name!r} has no concept {label!r}; it has {known}")

    def annotate(
        self, labels: Mapping[str, Iterable[str]] | Mapping[str, str], *, key: str | None = None
    ) -> int:
        """Annotate images, by their ids, with one label or several; none is *without concept*.

        With a `key`, each command has a key derived from it. Returns the number of images.
        """
        images = [
            self._annotations(image_id, [given] if isinstance(given, str) else given)
            for image_id, given in labels.items()
        ]
        return self.annotate_images(images, key=key)

    def annotate_images(
        self, images: Sequence[answers.ImageAnnotations], *, key: str | None = None
    ) -> int:
        """The same, with boxes: each entry is an image's id and all its annotations."""
        for first in range(0, len(images), PER_REQUEST):
            body = answers.NewAnnotations(images=list(images[first : first + PER_REQUEST]))
            part = f"{key}/{first}" if key is not None else None
            self.client.send(operations.annotate_images(self.id, body), key=part)
        return len(images)

    def _annotations(self, image_id: str, labels: Iterable[str]) -> answers.ImageAnnotations:
        concepts = [answers.Annotation(concept_id=self.concept_id(label)) for label in labels]
        return answers.ImageAnnotations(
            image_id=image_id, annotations=concepts, without_concept=not concepts
        )

    @property
    def suggestions(self) -> Suggestions:
        """The suggestions of versions for images that are not annotated."""
        return Suggestions(self.client, self.id)

    def experiments(self) -> Rows[Experiment]:
        """Its experiments, newest first."""
        request = operations.list_experiments(self.id, limit=500)
        pages = self.client.pages(request)
        return Rows(Experiment(self.client, row) for page in pages for row in page.items)

    def start_experiment(
        self,
        *,
        key: str | None = None,
        **choices: Any,
    ) -> Experiment:
        """Search for the best options; `choices` are those of `NewExperiment`."""
        body = answers.NewExperiment(**choices)
        started = self.client.send(operations.start_experiment(self.id, body), key=key)
        return self.client.experiment(started.id)

    def estimate_experiment(
        self, *, budget: int | None = None, epochs: float | None = None
    ) -> answers.EstimateView:
        """How long a search would take."""
        request = operations.estimate_experiment(self.id, budget=budget, epochs=epochs)
        return self.client.send(request)

    def search_space(self) -> answers.SearchSpace:
        """The default search space of an experiment."""
        return self.client.send(operations.get_search_space(self.row.kind)).space

    def agreement(self) -> answers.AgreementView:
        """How far annotators agree."""
        return self.client.send(operations.get_agreement(self.id))

    def rename(self, name: str) -> View:
        """Give it another name."""
        self.client.send(operations.rename_view(self.id, answers.NewName(name=name)))
        return self.refresh()

    def archive(self) -> None:
        """Archive it: it is no longer listed."""
        self.client.send(operations.archive_view(self.id))

    def restore(self) -> View:
        """List it again."""
        self.client.send(operations.restore_view(self.id))
        return self.refresh()

    def set_conditions(self, conditions: Sequence[Sequence[str]]) -> View:
        """Choose the items of a child view: by labels of the parent's concepts."""
        body = answers.NewConditions(conditions=[list(one) for one in conditions])
        self.client.send(operations.set_conditions(self.id, body))
        return self.refresh()

    def _picture(self) -> str:
        labels = {concept_id: label for label, concept_id in self.concepts.items()}
        request = operations.list_images(
            self.row.project_id, view_id=self.id, annotated=True, order="newest", limit=MOST
        )
        rows = self.client.send(request).items
        return gallery_of(self.client, ((_caption(row, labels), row.image_id) for row in rows))

    def _facts(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.row.kind, "concepts": list(self.concepts)}


def _caption(row: answers.ImageRow, labels: Mapping[str, str]) -> str:
    """The labels of an image's annotations."""
    found = dict.fromkeys(labels.get(one.concept_id, one.concept_id) for one in row.annotations)
    return ", ".join(found) or "without concept"


class Views:
    """The views of a project, by their names or ids."""

    def __init__(self, client: Stemma, project_id: str) -> None:
        self._client = client
        self._project_id = project_id

    def __iter__(self) -> Iterator[View]:
        request = operations.list_views(self._project_id)
        return (View(self._client, row) for row in self._client.send(request).items)

    def __getitem__(self, name: str) -> View:
        found = list(self)
        for view in found:
            if name in (view.id, view.name):
                return view
        names = ", ".join(repr(view.name) for view in found) or "none"
        raise KeyError(f"the project has no view {name!r}; it has {names}")

    def ensure(
        self, name: str, kind: Kind = "classification", concepts: Sequence[str] = ()
    ) -> View:
        """The view of this name, with these concepts; what does not exist is created, only once,
        even with concurrent calls."""
        view = next((one for one in self if one.name == name), None)
        if view is None:
            body = answers.NewView(name=name, kind=kind)
            request = operations.create_view(self._project_id, body)
            key = ensuring("view", self._project_id, kind, name)
            made = self._client.send(request, key=key)
            view = View(self._client, self._client.send(operations.get_view(made.id)).view)
        if view.row.kind != kind:
            raise StemmaError(f"view {name!r} already exists with kind {view.row.kind}")
        missing = [label for label in concepts if label not in view.concepts]
        try:
            return view.add_concepts(*missing) if missing else view
        except Conflict:
            # Another call may have added some of them meanwhile.
            if not {*missing} & {*view.refresh().concepts}:
                raise
            return self.ensure(name, kind, concepts)

    def __repr__(self) -> str:
        return f"Views({[view.name for view in self]})"
