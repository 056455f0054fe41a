"""The views of an import: existing ones, and the views and concepts that it creates."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePosixPath

import msgspec

from adapters.formats.items import DeclaredView, ViewAnnotations
from application.dataset.imports import add_missing_concepts, views_of
from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from application.views import create_view
from domain.aggregates import VIEW
from domain.dataset.image import AnnotateImage, Annotation, check_fits
from domain.errors import Invalid
from domain.library.conditions import Conditions
from domain.library.view import DETECTION, View, require
from domain.text import MAX_NAME, clean_name, is_text, same_text


class _ImportView(msgspec.Struct):
    """A view that the import uses or creates. `concepts` maps labels to ids, and a new label to
    itself until it is created. `spellings` maps a label's `same_text` to the label."""

    view_id: str | None
    kind: str
    concepts: dict[str, str]
    new: list[str]
    spellings: dict[str, str] = {}
    parent: str | None = None
    conditions: Conditions = ()
    crops: bool = False
    built: View | None = None
    """The view as it is with these concepts, once it was made."""

    def __post_init__(self) -> None:
        self.use(self.concepts)

    def use(self, concepts: dict[str, str]) -> None:
        self.concepts = concepts
        self.spellings = {same_text(label): label for label in concepts}
        self.built = None

    def add(self, label: str) -> None:
        self.built = None
        self.concepts[label] = label
        self.spellings[same_text(label)] = label
        self.new.append(label)

    def concept(self, label: str) -> str | None:
        """The id of a label's concept, in this spelling or else in another; or None."""
        spelt = label if label in self.concepts else self.spellings.get(same_text(label))
        return None if spelt is None else self.concepts[spelt]


class Views:
    """The views of an import: those that exist and those that it creates."""

    def __init__(
        self, project_id: str, existing: Mapping[str, View], *, new_concepts: bool
    ) -> None:
        self._project_id = project_id
        self._existing = existing
        self._active = [key for key, view in existing.items() if not view.archived]
        self._new_concepts = new_concepts
        self._views: dict[str, _ImportView] = {}
        self._chosen: str | None = None

    def choose(self, view: str | None, source: str) -> str:
        """The name of the view for a format that holds one view.

        `view` is a name or an id. If it is None, it is the project's only view, or a new view named
        after the source.
        """
        if view in self._existing:
            self._chosen = view
        elif view is None and len(self._active) == 1:
            [self._chosen] = self._active
        if self._chosen is not None:
            return self._existing[self._chosen].name
        stem = PurePosixPath(source).name.split(".")[0].strip()
        return view or (stem if is_text(stem) and len(stem) < MAX_NAME else "") or "imported"

    def kind_of(self, name: str) -> str | None:
        """The kind of the existing view with this name, or None."""
        matches = self._matching(name)
        return self._existing[matches[0]].kind if len(matches) == 1 else None

    def declare(self, declared: DeclaredView) -> None:
        """Add a view. Raises `Invalid` if it does not exist and cannot be created."""
        self._views[declared.name] = view = self._find(declared)
        if self._new_concepts:
            for label in declared.concepts:
                if view.concept(label) is None:
                    view.add(label)

    def refusal(self, name: str, annotations: ViewAnnotations) -> str | None:
        """The reason why annotations cannot be imported, or None. Their new labels become
        concepts of the view."""
        view = self._views.get(name)
        if view is None:
            return f"the source declares no view {name!r}"
        for annotation in annotations.annotations:
            label = annotation.label
            if view.concept(label) is not None:
                continue
            if not self._new_concepts:
                return f"view {name!r} has no concept {label!r}; add it, or allow new concepts"
            view.add(label)
        try:
            check_fits(self.command(name, annotations), self._as_view(name))
        except Invalid as refusal:
            return refusal.detail
        return None

    def command(self, name: str, annotations: ViewAnnotations) -> AnnotateImage:
        view = self._views[name]
        by_id = tuple(
            Annotation(concept_id, annotation.box)
            for annotation in annotations.annotations
            if (concept_id := view.concept(annotation.label)) is not None
        )
        return AnnotateImage(view.view_id or name, by_id, annotations.without_concept)

    def missing(self) -> dict[str, int]:
        """The numbers of views and concepts to create."""
        return {
            "views": sum(view.view_id is None for view in self._views.values()),
            "concepts": sum(len(view.new) for view in self._views.values()),
        }

    def simulate(self, session: Session) -> None:
        """Put the views, as they will be, into a session that is not saved."""
        for name, view in self._views.items():
            session.remember(VIEW.stream(view.view_id or name), self._as_view(name), 0)

    def make(self, store: Store, request: Callable[[str], Request]) -> dict[str, int]:
        """Create missing views and concepts. Returns their numbers.

        It is idempotent: after an interruption it creates nothing twice and returns the same.
        """
        counts = {"views": 0, "concepts": 0}
        for name, view in self._views.items():
            creation = request(f"view {name}")
            if view.view_id is None or store.find_command(creation.command_id) is not None:
                created = handle(
                    store,
                    creation,
                    partial(
                        _create,
                        project_id=self._project_id,
                        name=name,
                        kind=view.kind,
                        parent_id=self._views[view.parent].view_id if view.parent else None,
                        conditions=view.conditions,
                    ),
                )
                view.view_id = created.id
                counts["views"] += 1
            added = handle(
                store,
                request(f"concepts {name}"),
                partial(_add, view_id=view.view_id, labels=view.new),
            )
            counts["concepts"] += added.counts.get("concepts", 0)
        existing = views_of(store, self._project_id)
        for view in self._views.values():
            assert view.view_id is not None
            concepts = existing[view.view_id].concepts
            view.use({label: key for key, label in concepts.items()})
            view.new = []
        return counts

    def _find(self, declared: DeclaredView) -> _ImportView:
        matches = self._matching(declared.name)
        if len(matches) > 1:
            raise Invalid(
                f"the project has {len(matches)} views named {declared.name!r}; give the id of one",
                field="view",
            )
        if matches:
            view = self._existing[matches[0]]
            if view.archived:
                raise Invalid(
                    f"view {view.name!r} is archived; restore it, or name another view",
                    field="view",
                )
            if view.kind != declared.kind:
                raise Invalid(
                    f"view {view.name!r} is for {view.kind}, and the source for {declared.kind};"
                    " name another view",
                    field="view",
                )
            self._check_parent(view, declared)
            concepts = {label: key for key, label in view.concepts.items()}
            return _ImportView(
                matches[0],
                view.kind,
                concepts,
                [],
                parent=declared.parent,
                conditions=declared.conditions,
                crops=view.crops,
            )
        if not self._new_concepts:
            raise Invalid(
                f"the project has no view {declared.name!r}; create it, or allow new concepts",
                field="view",
            )
        clean_name(declared.name, "view")
        if declared.crops and declared.kind == DETECTION:
            raise Invalid(
                f"view {declared.name!r} is a detection view, which cannot have crops as its items"
            )
        return _ImportView(
            None,
            declared.kind,
            {},
            [],
            parent=declared.parent,
            conditions=declared.conditions,
            crops=declared.crops,
        )

    def _check_parent(self, view: View, declared: DeclaredView) -> None:
        """Raises `Invalid` if an existing view does not stand where the source has it."""
        if declared.parent is None and not view.crops:
            return
        parent = self._existing.get(view.parent_id or "")
        labels = {} if parent is None else parent.removed | parent.concepts
        own = {frozenset(labels[key] for key in group) for group in view.conditions}
        theirs = {frozenset(group) for group in declared.conditions}
        if parent is None or parent.name != declared.parent or own != theirs:
            raise Invalid(
                f"view {view.name!r} of the project has another parent or other conditions than in"
                " the source; name another view",
                field="view",
            )

    def _matching(self, name: str) -> list[str]:
        named = [key for key, view in self._existing.items() if view.name == name]
        matches = [key for key in named if key in self._active] or named[:1]
        return [self._chosen] if self._chosen in matches else matches

    def _as_view(self, name: str) -> View:
        view = self._views[name]
        if view.built is None:
            concepts = {key: label for label, key in view.concepts.items()}
            parent = self._views[view.parent] if view.parent else None
            parent_id = None if parent is None else parent.view_id or view.parent
            view.built = View(
                self._project_id, name, view.kind, concepts, parent_id=parent_id, crops=view.crops
            )
        return view.built


def _create(
    session: Session,
    *,
    project_id: str,
    name: str,
    kind: str,
    parent_id: str | None,
    conditions: Conditions,
) -> Decided[View]:
    """Create a view; `conditions` are by labels of the parent's concepts."""
    if parent_id is None:
        return create_view(session, project_id, name, kind)
    parent = require(session.get(VIEW, parent_id))
    ids = {label: key for key, label in parent.concepts.items()}
    by_id = tuple(tuple(ids[label] for label in group) for group in conditions)
    return create_view(session, project_id, name, kind, parent_id, by_id)


def _add(session: Session, *, view_id: str, labels: list[str]) -> Decided[View]:
    return add_missing_concepts(session, view_id, labels)
