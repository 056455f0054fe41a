"""The page of a project's imports and exports."""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from adapters.dataset.imports.progress import ImportProgress, progress_of
from adapters.formats.registry import FOLDERS, FORMATS
from api.access.rights import needs
from api.dataset.messages import AS_IN_THE_SOURCE, AUTO_DETECT, COUNTS, ORIGINS, RULES, UNLABELLED
from api.dataset.projects_page import address
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.dataset.imports import AUTO, CHECKED, REQUESTED, UNANNOTATED
from domain.errors import NotFound
from domain.library.view import KINDS
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, list_views
from projections.dataset.imports import IMPORTS, ImportRow, list_imports

IMPORTS_A_PAGE = 20

LABELS = {name: FORMATS[name].label for name in sorted(FORMATS, key=lambda name: name != FOLDERS)}
"""Of the formats, a folder per class first: it needs no annotation file."""


class ImportItem(msgspec.Struct, frozen=True):
    """An import, and its progress while it runs."""

    item: ImportRow
    progress: ImportProgress | None

    @property
    def under_way(self) -> bool:
        return self.item.status == REQUESTED

    @property
    def is_rehearsal(self) -> bool:
        return self.item.status == CHECKED

    @property
    def format(self) -> str:
        """The label of the format, as requested or detected; empty while it is unknown."""
        name = self.item.format or self.item.rules.format
        return "" if name == AUTO else LABELS[name]

    @property
    def rules(self) -> list[str]:
        """The rules that differ from the defaults."""
        rules = self.item.rules
        options = {
            RULES["view"].format(self.item.view): self.item.view,
            RULES["kind"].format(rules.kind): rules.kind,
            RULES["new_concepts"]: not rules.new_concepts,
            RULES["skip_bad"]: rules.skip_bad,
            RULES["clip"]: rules.clip,
            RULES["dry_run"]: rules.dry_run,
            RULES["unlabelled"]: rules.unlabelled == UNANNOTATED,
            RULES["origin"].format(rules.origin): rules.origin is not None,
        }
        return [text for text, applies in options.items() if applies]

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """The name, label and number of each count that is shown."""
        counts = msgspec.structs.asdict(self.item.counts) if self.item.counts else {}
        return [
            (name, label, counts[name])
            for name, label in COUNTS.items()
            if counts and (counts[name] or name in {"images", "added"})
        ]


class ImportsPage(Page, frozen=True, kw_only=True):
    """A project's imports, newest first; `following` is the address of the next page."""

    project: ProjectRow
    views: list[ViewRow]
    imports: list[ImportItem]
    first: bool
    following: str | None
    base_url: str

    @property
    def unfinished(self) -> bool:
        return any(item.under_way for item in self.imports)

    @property
    def view_choices(self) -> list[tuple[str, str]]:
        """The value and label of each view: its name, or its id where names are the same."""
        names = [view.name for view in self.views]
        return [
            (view.name, view.kind)
            if names.count(view.name) == 1
            else (view.view_id, f"{view.name}, {view.kind}")
            for view in self.views
        ]

    @property
    def formats(self) -> list[tuple[str, str]]:
        return [(AUTO, AUTO_DETECT), *LABELS.items()]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [("", AS_IN_THE_SOURCE), *((kind, kind) for kind in KINDS)]

    @property
    def unlabelled(self) -> list[tuple[str, str]]:
        return list(UNLABELLED.items())

    @property
    def origins(self) -> list[tuple[str, str]]:
        return list(ORIGINS.items())

    @property
    def written(self) -> list[tuple[str, str]]:
        """The formats of exports."""
        return [(name, label) for name, label in LABELS.items() if FORMATS[name].write]

    @property
    def described(self) -> list[tuple[str, str]]:
        """Each format, and how it is recognised."""
        return [(label, FORMATS[name].recognised_by) for name, label in LABELS.items()]


class ImportPages(Controller):
    """Imports and exports."""

    @get(
        "/projects/{project_id:str}/imports",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def imports(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        before = position_in(cursor)
        with backend.reading(at_least, CATALOG, IMPORTS) as (connection, position):
            project = find_project(connection, project_id)
            if project is None:
                raise NotFound("project not found")
            rows = list_imports(connection, project_id, before=before, limit=IMPORTS_A_PAGE + 1)
            items = [
                ImportItem(
                    item,
                    progress_of(connection, item.import_id) if item.status == REQUESTED else None,
                )
                for item in rows[:IMPORTS_A_PAGE]
            ]
            views = list_views(connection, project_id)
        page = ImportsPage(
            position=position,
            api=f"/api/v1/projects/{project_id}/imports",
            project=project,
            views=views,
            imports=items,
            first=cursor is None,
            following=address({}, items[-1].item.requested_position)
            if len(rows) > len(items)
            else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        return render("dataset/imports.html", page)
