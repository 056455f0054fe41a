"""Imports: all or nothing of a source, the same however often it is asked for or interrupted."""

from pathlib import Path

import pytest

from application.store import Store
from domain.imports import ImportCompleted
from tests.adapters.importing import Importer, png, write_files
from tests.servers import Database


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


def classes(folder: Path, count: int) -> Path:
    labels = "cat", "dog"
    return write_files(
        folder, {f"{labels[number % 2]}/{number}.png": png(number) for number in range(count)}
    )


def test_a_folder_per_class_is_taken_in(importer: Importer, tmp_path: Path) -> None:
    ending = importer.take(classes(tmp_path / "pets", 6), view="animal")
    assert isinstance(ending, ImportCompleted), ending
    assert (ending.counts.images, ending.counts.added, ending.counts.annotated) == (6, 6, 6)
    assert (ending.counts.views, ending.counts.concepts) == (1, 2)
    assert len(importer.images()) == 6
