"""Imports carried out in a test's own process, and sources for them."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.progress import claimed
from adapters.dataset.imports.requested import find_requested, upload_key
from adapters.dataset.imports.run import ImportContext, run_import
from adapters.formats.registry import FORMATS
from adapters.uploads.archives import ArchiveLimits
from adapters.uploads.image_files import ImageLimits
from application.dataset.dataset import images_at
from application.dataset.imports import request_import
from application.dataset.projects import create_project
from application.handle import Request, handle
from application.log.store import Store
from domain.dataset.image import Image as ImageState
from domain.dataset.imports import Ending, ImportRules, RequestImport

LIMITS = ImageLimits(5_000_000, 1_000_000)


def png(number: int, size: tuple[int, int] = (8, 6), **save: Any) -> bytes:
    """A small image, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (*reversed(size), 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **save)
    return file.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


class Importer:
    """One project, and imports into it."""

    def __init__(self, store: Store, folder: Path, database_url: str, name: str = "Pets") -> None:
        self.store = store
        self.blobs_url = f"file://{folder}"
        self.blobs = BlobStore.from_url(self.blobs_url)
        self.database_url = database_url
        self._name = name
        self._asked = 0
        self.project = self.do("project", lambda session: create_project(session, name))

    def do(self, name: str, decide: Any) -> str:
        key = f"{self._name}: {name}"
        request = Request(actor="user:ada", command_id=key, correlation_id=key)
        return handle(self.store, request, decide).id

    def ask(
        self,
        source: Path,
        *,
        project: str | None = None,
        view: str | None = None,
        rules: ImportRules | None = None,
    ) -> str:
        """Ask for an import of a folder on the server, or of an archive that was uploaded."""
        self._asked += 1
        on_server = source.is_dir()
        command = RequestImport(
            project or self.project,
            str(source) if on_server else source.name,
            on_server,
            view,
            rules or ImportRules(),
        )
        import_id = self.do(
            f"ask {self._asked}",
            lambda session: request_import(session, command, frozenset(FORMATS)),
        )
        if not on_server:
            self.blobs.put_scratch_file(upload_key(import_id), source)
        return import_id

    def run(self, import_id: str, roots: tuple[Path, ...] = (Path("/"),)) -> Ending:
        asked, _ = find_requested(self.store, import_id)
        context = ImportContext(
            self.store, self.blobs, self.blobs_url, LIMITS, ArchiveLimits(), roots
        )
        with claimed(self.database_url, import_id) as progress:
            return run_import(context, asked, progress)

    def take(self, source: Path, **asked: Any) -> Ending:
        return self.run(self.ask(source, **asked))

    def images(self, project: str | None = None) -> dict[str, ImageState]:
        """The project's images by id."""
        of = project or self.project
        placed = images_at(self.store, of, self.store.head(), personal=True)
        return {one.image_id: one.state for one in placed}
