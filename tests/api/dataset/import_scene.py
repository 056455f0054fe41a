"""Imports through the API of a running server, and sources for them."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from adapters.processes.processes import wait_until
from domain.dataset.imports import REQUESTED
from tests.adapters.dataset.importing import png
from tests.api.scene import Scene
from tests.waiting import HANG_SECONDS

MEGABYTE = 1_000_000
PETS = {"cat/1.png": png(1), "cat/2.png": png(2), "dog/3.png": png(3)}


def zipped(files: Mapping[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def with_bad_lines(count: int) -> dict[str, bytes | str]:
    """A CSV source: its second line is good, and as many after it name files that are not there."""
    lines = ["file,label", "1.png,cat", *(f"missing-{number}.png,dog" for number in range(count))]
    return {"annotations.csv": "\n".join(lines), "1.png": png(1)}


class ImportScene:
    """A server that carries imports out. It may read `root`, and works in `temporary`."""

    def __init__(self, site: Scene, folder: Path) -> None:
        self.site = site
        self.http = site.http
        self.root = folder / "root"
        self._temporary = folder / "temporary"
        self._blobs = folder / "blobs"

    def upload(
        self,
        project_id: str,
        content: bytes | Iterator[bytes],
        *,
        key: str | None = None,
        **asked: Any,
    ) -> httpx.Response:
        return self.http.post(
            f"/api/v1/projects/{project_id}/imports/upload",
            content=content,
            params={"name": "pets.zip"} | asked,
            headers={"Idempotency-Key": key} if key else {},
        )

    def ask(self, project_id: str, **asked: Any) -> httpx.Response:
        return self.http.post(f"/api/v1/projects/{project_id}/imports", json=asked)

    def export(self, project_id: str, **asked: Any) -> httpx.Response:
        return self.http.get(f"/api/v1/projects/{project_id}/export", params=asked)

    def find(self, import_id: str) -> Any:
        at_least = {"at_least": self.site.store.head()}
        found = self.http.get(f"/api/v1/imports/{import_id}", params=at_least)
        assert found.is_success, found.text
        return found.json()["item"]

    def ended(self, asked: httpx.Response) -> Any:
        """The import that was asked for, once it has ended."""
        assert asked.status_code == 202, asked.text
        import_id = asked.json()["id"]
        assert wait_until(lambda: self.find(import_id)["status"] != REQUESTED, HANG_SECONDS)
        return self.find(import_id)

    def taken(self, project_id: str, content: bytes, **asked: Any) -> Any:
        """The import of an archive, once it has ended well."""
        item = self.ended(self.upload(project_id, content, **asked))
        assert item["status"] == "completed", item
        return item

    def images(self, project_id: str) -> list[Any]:
        self.site.visible()
        listed = self.http.get(f"/api/v1/projects/{project_id}/images").json()["items"]
        assert isinstance(listed, list)
        return listed

    def views(self, project_id: str) -> list[Any]:
        self.site.visible()
        listed = self.http.get(f"/api/v1/projects/{project_id}/views").json()["items"]
        assert isinstance(listed, list)
        return listed

    def left_behind(self) -> list[Path]:
        """Files of ours in the temporary folder, and archives that wait in the blob store."""
        scratch = (self._blobs / "scratch").rglob("*")
        return [*self._temporary.glob("stemma-*"), *(path for path in scratch if path.is_file())]
