"""The views of an import: those it finds, and what it makes of views and concepts."""

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
from domain.library.view import View
from domain.text import MAX_NAME, clean_name


class _Wanted(msgspec.Struct):
    """A view as the import will find or make it: `concepts` map labels to ids, new ones to
    themselves."""

    view_id: str | None
    kind: str
    concepts: dict[str, str]
    new: list[str]

    def add(self, label: str) -> None:
        self.concepts[label] = label
        self.new.append(label)


class Views:
    """The views that an import speaks of, those that exist and those it is to make."""

    def __init__(
        self, project_id: str, existing: Mapping[str, View], *, new_concepts: bool
    ) -> None:
        self._project_id = project_id
        self._existing = existing
        self._new_concepts = new_concepts
        self._wanted: dict[str, _Wanted] = {}
        self._chosen: str | None = None

    def choose(self, view: str | None, source: str) -> str:
        """The name of the view that a format of one view is about.

        `view` is a name or an id. Without one it is the project's only view, or a new one named
        after the source.
        """
        if view in self._existing:
            self._chosen = view
        elif view is None and len(self._existing) == 1:
            [self._chosen] = self._existing
        if self._chosen is not None:
            return self._existing[self._chosen].name
        named = PurePosixPath(source).name.split(".")[0].strip()
        return (
            view or (named if named.isprintable() and len(named) < MAX_NAME else "") or "imported"
        )

    def kind_of(self, name: str) -> str | None:
        """The kind of the view that exists under this name."""
        found = self._matching(name)
        return self._existing[found[0]].kind if len(found) == 1 else None

    def declare(self, declared: DeclaredView) -> None:
        """Take a view in. Raises `Invalid` if it cannot be found, or not be made."""
        self._wanted[declared.name] = wanted = self._find(declared)
        if self._new_concepts:
            for label in declared.concepts:
                if label not in wanted.concepts:
                    wanted.add(label)

    def refusal(self, name: str, answer: ViewAnnotations) -> str | None:
        """Why an answer cannot be taken; labels that it brings are concepts from then on."""
        wanted = self._wanted.get(name)
        if wanted is None:
            return f"the source declares no view {name!r}"
        for one in answer.annotations:
            if one.label in wanted.concepts:
                continue
            if not self._new_concepts:
                return f"view {name!r} has no concept {one.label!r}; add it, or allow new concepts"
            wanted.add(one.label)
        try:
            check_fits(self.command(name, answer), self._as_view(name))
        except Invalid as refusal:
            return refusal.detail
        return None

    def command(self, name: str, answer: ViewAnnotations) -> AnnotateImage:
        wanted = self._wanted[name]
        said = tuple(Annotation(wanted.concepts[one.label], one.box) for one in answer.annotations)
        return AnnotateImage(wanted.view_id or name, said, answer.without_concept)

    def missing(self) -> dict[str, int]:
        """How many views and concepts have to be made."""
        return {
            "views": sum(wanted.view_id is None for wanted in self._wanted.values()),
            "concepts": sum(len(wanted.new) for wanted in self._wanted.values()),
        }

    def pretend(self, session: Session) -> None:
        """Let a session that is not saved see what there would be."""
        for name, wanted in self._wanted.items():
            session.remember(VIEW.stream(wanted.view_id or name), self._as_view(name), 0)

    def make(self, store: Store, request: Callable[[str], Request]) -> dict[str, int]:
        """Make what is missing; how much that was.

        Made again after having been killed it changes nothing, and counts the same.
        """
        done = {"views": 0, "concepts": 0}
        for name, wanted in self._wanted.items():
            creation = request(f"view {name}")
            if wanted.view_id is None or store.find_command(creation.command_id) is not None:
                made = handle(
                    store,
                    creation,
                    partial(_create, project_id=self._project_id, name=name, kind=wanted.kind),
                )
                wanted.view_id = made.id
                done["views"] += 1
            added = handle(
                store,
                request(f"concepts {name}"),
                partial(_add, view_id=wanted.view_id, labels=wanted.new),
            )
            done["concepts"] += added.counts.get("concepts", 0)
        views = views_of(store, self._project_id)
        for wanted in self._wanted.values():
            assert wanted.view_id is not None
            known = views[wanted.view_id].concepts
            wanted.concepts = {label: key for key, label in known.items()}
            wanted.new = []
        return done

    def _find(self, declared: DeclaredView) -> _Wanted:
        found = self._matching(declared.name)
        if len(found) > 1:
            raise Invalid(
                f"the project has {len(found)} views named {declared.name!r}; give the id of one",
                field="view",
            )
        if found:
            view = self._existing[found[0]]
            if view.kind != declared.kind:
                raise Invalid(
                    f"view {view.name!r} is for {view.kind}, and the source for {declared.kind};"
                    " name another view",
                    field="view",
                )
            return _Wanted(found[0], view.kind, {v: k for k, v in view.concepts.items()}, [])
        if not self._new_concepts:
            raise Invalid(
                f"the project has no view {declared.name!r}; create it, or allow new concepts",
                field="view",
            )
        clean_name(declared.name, "view")
        return _Wanted(None, declared.kind, {}, [])

    def _matching(self, name: str) -> list[str]:
        found = [key for key, view in self._existing.items() if view.name == name]
        return [self._chosen] if self._chosen in found else found

    def _as_view(self, name: str) -> View:
        wanted = self._wanted[name]
        concepts = {key: label for label, key in wanted.concepts.items()}
        return View(self._project_id, name, wanted.kind, concepts)


def _create(session: Session, *, project_id: str, name: str, kind: str) -> Decided[View]:
    return create_view(session, project_id, name, kind)


def _add(session: Session, *, view_id: str, labels: list[str]) -> Decided[View]:
    return add_missing_concepts(session, view_id, labels)
