"""Projects: images with their views, imports, splits and exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stemma_client._generated import answers, operations
from stemma_client.datasets import Dataset
from stemma_client.downloads import download, sha256_of
from stemma_client.entities import Entity, ensuring
from stemma_client.errors import StemmaError
from stemma_client.image_table import image_table
from stemma_client.images import Image
from stemma_client.imports import Import
from stemma_client.packing import pieces_of
from stemma_client.pictures import MOST, gallery_of
from stemma_client.requests import Request
from stemma_client.tables import Rows, Table
from stemma_client.versions import Version
from stemma_client.views import View, Views

if TYPE_CHECKING:
    from stemma_client.client import Stemma

Format = Literal["coco", "voc", "yolo", "csv", "studio"]
Read = Literal["auto", "coco", "voc", "yolo", "csv", "studio", "video", "folders"]
Split = Literal["train", "validation", "test"]
Status = Literal[
    "queued",
    "preparing",
    "training",
    "evaluating",
    "saving",
    "ready",
    "stopped",
    "cancelled",
    "failed",
]
Sort = Literal["newest", "oldest", "best", "name", "status", "architecture", "images", "loss"]
ImportStatus = Literal["requested", "completed", "checked", "refused", "failed"]


class Project(Entity):
    """A project."""

    kind = "project"

    def __init__(self, client: Stemma, row: answers.ProjectRow) -> None:
        super().__init__(client, row.project_id, row.name)
        self.row = row

    @property
    def views(self) -> Views:
        """Its views, by their names or ids."""
        return Views(self.client, self.id)

    @property
    def dataset(self) -> Dataset:
        """Its splits, groups, snapshots and near-duplicates."""
        return Dataset(self.client, self.id)

    def versions(
        self, *, status: Status | None = None, sort: Sort | None = None, archived: bool = False
    ) -> Rows[Version]:
        """All versions of all its views, or those with a status, newest first or as `sort` says."""
        request = operations.list_versions(
            project_id=self.id, status=status, sort=sort, archived=archived, limit=500
        )
        pages = self.client.pages(request)
        return Rows(Version(self.client, row) for page in pages for row in page.items)

    def images(
        self,
        view: View | None = None,
        *,
        split: Split | None = None,
        concept: str | None = None,
        annotated: bool | None = None,
        reviewed: bool | None = None,
        file_names: Sequence[str] = (),
    ) -> Iterator[Image]:
        """Its images, oldest first, read by the page; with a view, with their annotations in it.

        Images added meanwhile come at the end; none comes twice. With `file_names`,
        of which 500 at once are taken, only those with one of these names.
        """
        request = self._listing(view, split, concept, annotated, reviewed, file_names)
        for page in self.client.pages(request):
            yield from (Image(self.client, row) for row in page.items)

    def image_table(
        self,
        view: View | None = None,
        *,
        split: Split | None = None,
        concept: str | None = None,
        annotated: bool | None = None,
        reviewed: bool | None = None,
        file_names: Sequence[str] = (),
    ) -> Table:
        """The same as columns, by Arrow where pyarrow is installed: the quickest for DataFrames."""
        request = self._listing(view, split, concept, annotated, reviewed, file_names)
        return image_table(self.client.transport, request)

    def _listing(
        self,
        view: View | None,
        split: Split | None,
        concept: str | None,
        annotated: bool | None,
        reviewed: bool | None,
        file_names: Sequence[str],
    ) -> Request[answers.ImageRowListing]:
        if concept is not None and view is None:
            raise StemmaError(f"the concept {concept!r} is of a view: give the view, too")
        return operations.list_images(
            self.id,
            view_id=None if view is None else view.id,
            split=split,
            concept_id=None if view is None or concept is None else view.concept_id(concept),
            annotated=annotated,
            reviewed=reviewed,
            file_name=list(file_names) or None,
            limit=500,
        )

    def image_of(self, file: str | Path, view: View | None = None) -> Image:
        """The image with the content of a local file, under any name; with a view, with its
        annotations in it. Raises `NotFound`."""
        request = operations.get_image_by_digest(
            self.id, sha256_of(Path(file)), view_id=None if view is None else view.id
        )
        return Image(self.client, self.client.send(request).image)

    def image_rows(self, view: View | None = None) -> Rows[answers.ImageRow]:
        """The same as rows, for a table."""
        return Rows(image.row for image in self.images(view))

    def import_folder(
        self,
        source: str | Path,
        *,
        view: str | None = None,
        format: Read | None = None,  # noqa: A002
        kind: Literal["classification", "tagging", "detection"] | None = None,
        new_concepts: bool = True,
        skip_bad: bool = False,
        clip: bool = False,
        unlabelled: Literal["negative", "unannotated"] = "negative",
        frame_rate: float = 1.0,
        scenes: bool = False,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Import:
        """Upload and import a folder, an archive or a video, with the annotations in it.

        If a file or line is wrong, nothing is imported, unless `skip_bad` is set. Importing again
        changes nothing. With `dry_run` nothing is changed; the import's `problems` list what is
        wrong.
        """
        path = Path(source)
        if not path.exists():
            raise StemmaError(f"{path} not found: give a folder, an archive or a video")
        request = operations.upload_import(
            self.id,
            name=path.resolve().name,
            view=view,
            format=format,
            kind=kind,
            new_concepts=new_concepts,
            skip_bad=skip_bad,
            clip=clip,
            unlabelled=unlabelled,
            frame_rate=frame_rate,
            scenes=scenes,
            dry_run=dry_run,
        )
        started = self.client.transport.send(request, key=key, body=lambda: pieces_of(path))
        return Import(self.client, started.id)

    def import_on_server(self, source: str, *, key: str | None = None, **rules: Any) -> Import:
        """Import from a folder on the server; `rules` are those of `NewImport`."""
        body = answers.NewImport(source=source, **rules)
        started = self.client.send(operations.create_import(self.id, body), key=key)
        return Import(self.client, started.id)

    def imports(self, *, status: ImportStatus | None = None) -> Rows[answers.ImportRow]:
        """Its imports, or those with a status, newest first."""
        request = operations.list_imports(self.id, status=status, limit=500)
        return Rows(row for page in self.client.pages(request) for row in page.items)

    def upload(self, files: Sequence[str | Path], *, key: str | None = None) -> list[str]:
        """Upload image files without annotations, and return their ids."""
        body = [("files", (Path(one).name, Path(one).read_bytes())) for one in files]
        return self.client.send(operations.upload_images(self.id, body), key=key).ids

    def draw_validation(
        self, size: float, *, seed: int = 0, stratify_by: str | None = None, key: str | None = None
    ) -> Project:
        """Draw the validation set: a share below 1, or a number of images."""
        body = answers.NewSplit(size=size, seed=seed, stratify_by=stratify_by)
        self.client.send(operations.draw_validation_split(self.id, body), key=key)
        return self

    def draw_test(
        self, size: float, *, seed: int = 0, stratify_by: str | None = None, key: str | None = None
    ) -> Project:
        """Draw the test set, which no training uses: a share below 1, or a number of images."""
        body = answers.NewSplit(size=size, seed=seed, stratify_by=stratify_by)
        self.client.send(operations.draw_test_set(self.id, body), key=key)
        return self

    def export(
        self,
        target: str | Path,
        *,
        format: Format = "coco",  # noqa: A002
        views: Sequence[View] = (),
        concepts: Sequence[str] = (),
        images: bool = False,
    ) -> Path:
        """Write its annotations to a zip archive; with `images`, also the files.

        With `concepts`, by label or id, the one view given is exported as if it had no others: an
        image that is annotated with others only is without concept, or in a classification view not
        annotated.

        It is of one position of the log, so that a download that was cut goes on.
        """
        if concepts and len(views) != 1:
            raise StemmaError("concepts are chosen of one view; give one view")
        request = operations.export_annotations(
            self.id,
            format=format,
            view_id=[view.id for view in views] or None,
            images=images,
            concept_id=[views[0].concept_id(concept) for concept in concepts] or None,
        )
        transport = self.client.transport
        if transport.session.as_of is None:
            head = self.client.status().head
            transport = transport.at(str(max(head, self.client.position)))
        return download(transport, request, Path(target))

    def _picture(self) -> str:
        request = operations.list_images(self.id, order="newest", limit=MOST)
        rows = self.client.send(request).items
        return gallery_of(self.client, ((row.file_name, row.image_id) for row in rows))

    def rename(self, name: str) -> Project:
        """Give it another name."""
        self.client.send(operations.rename_project(self.id, answers.NewName(name=name)))
        self.row = self.client.send(operations.get_project(self.id)).project
        self.name = self.row.name
        return self


class Projects:
    """The projects that the account may read, by their names or ids."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def __iter__(self) -> Iterator[Project]:
        for page in self._client.pages(operations.list_projects(limit=500)):
            yield from (Project(self._client, row) for row in page.items)

    def __getitem__(self, name: str) -> Project:
        found = self._named(name) or [one for one in self if one.id == name]
        if len(found) != 1:
            raise KeyError(
                f"project {name!r} not found"
                if not found
                else f"{len(found)} projects are named {name!r}: choose one by its id"
            )
        return found[0]

    def _named(self, name: str) -> list[Project]:
        pages = self._client.pages(operations.list_projects(name=name, limit=500))
        rows = [row for page in pages for row in page.items if row.name == name]
        return [Project(self._client, row) for row in rows]

    def create(self, name: str, *, key: str | None = None) -> Project:
        """Create a project."""
        request = operations.create_project(answers.NewProject(name=name))
        made = self._client.send(request, key=key)
        return Project(self._client, self._client.send(operations.get_project(made.id)).project)

    def ensure(self, name: str) -> Project:
        """The project of this name; it is created if it does not exist, and only once, even with
        concurrent calls of the account."""
        found = self._named(name)
        if found:
            return found[0]
        project = self.create(name, key=ensuring("project", name))
        # The one that this key made may have another name by now.
        return project if project.name == name else self.create(name)

    def __repr__(self) -> str:
        return f"Projects({[project.name for project in self]})"
