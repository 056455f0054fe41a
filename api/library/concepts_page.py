"""The page of a view's concepts and child views, which the page of its library shows, too."""

from collections.abc import Mapping, Sequence

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.http.parameters import AsOf, AtLeast, Served
from api.pages.html import Page, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.library.view import CLASSIFICATION, DETECTION, KINDS, TAGGING
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    find_view,
    labels_of,
    list_views,
)
from projections.dataset.dataset import DATASET
from projections.dataset.queries import ConceptCount, ViewCounts, count_views

SHOWN = (CATALOG, DATASET)
"""The read models that the page shows."""
NO_COUNT = ConceptCount("", 0, 0)


def conditions_in_words(conditions: Sequence[Sequence[str]], labels: Mapping[str, str]) -> str:
    """Conditions of a child view, by the labels of the parent's concepts."""
    return " or ".join(" and ".join(labels.get(key, key) for key in group) for group in conditions)


class ConceptsPage(Page, frozen=True, kw_only=True):
    """The concepts and child views of a view at a moment; `labels` are by id, removed ones too."""

    project: ProjectRow
    view: ViewRow
    parent: ViewRow | None
    parent_labels: dict[str, str]
    children: list[ViewRow]
    annotations: ViewCounts
    labels: dict[str, str]
    moment: Moment

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
    def changeable(self) -> bool:
        """Whether the page offers changes: now, and in a view that is not archived."""
        return not self.moment.past and not self.view.archived

    def count(self, concept_id: str) -> ConceptCount:
        counts = (row for row in self.annotations.concepts if row.concept_id == concept_id)
        return next(counts, NO_COUNT)


class ConceptPages(Controller):
    """Concepts."""

    @get("/views/{view_id:str}/concepts", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def concepts(
        self,
        backend: Served,
        view_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            moment = moment_of(backend, connection, at, SHOWN)
            view = find_view(connection, view_id, as_of=at)
            project = find_project(connection, view.project_id, as_of=at) if view else None
            if view is None or project is None:
                raise NotFound(f"view not found{at_position(at)}")
            parent = find_view(connection, view.parent_id, as_of=at) if view.parent_id else None
            siblings = list_views(connection, view.project_id, as_of=at)
            page = ConceptsPage(
                position=position,
                api=moment.of(f"/api/v1/views/{view_id}"),
                moment=moment,
                project=project,
                view=view,
                parent=parent,
                parent_labels=labels_of(connection, parent.view_id, as_of=at) if parent else {},
                children=[each for each in siblings if each.parent_id == view_id],
                annotations=count_views(connection, view.project_id, [view_id], as_of=at)[view_id],
                labels=labels_of(connection, view_id, as_of=at),
            )
        return render("library/concepts_page.html", page)
