"""The part that carries imports out: each ends once, whatever happens to its process."""

import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from adapters.dataset.imports.requested import find_requested
from adapters.processes.processes import wait_until
from adapters.settings import Settings
from adapters.uploads.packing import pack
from application.log.store import Store
from domain.dataset.imports import COMPLETED, FAILED, ImportCompleted, ImportFailed
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.adapters.running import eventually, running
from tests.servers import Database

IMAGES = 1200


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


@pytest.fixture
def settings(importer: Importer, tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path,
        database_url=importer.database_url,
        blobs_url=importer.blobs_url,
        import_roots=str(tmp_path.parent),
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{number % 3}/{number}.png": png(number) for number in range(IMAGES)}
    return write_files(tmp_path_factory.mktemp("source"), files)


def status(importer: Importer, import_id: str) -> str:
    return find_requested(importer.store, import_id)[1].status


def ending(importer: Importer, import_id: str) -> object:
    stream = f"import-{import_id}"
    [_, last] = importer.store.streams([stream])[stream]
    return last.event


def processes(import_id: str) -> Iterator[int]:
    """The processes that carry an import out, and those they have started."""
    children: dict[int, list[int]] = {}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
        if import_id.encode() in command:
            found.append(int(entry.name))
    for process in found:
        yield process
        yield from children.get(process, [])


def none_lives(processes: list[int]) -> bool:
    return not any(map(lives, processes))


def lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("seed", range(2))
def test_an_import_whose_processes_are_killed_ends_as_if_they_had_not_been(
    importer: Importer, settings: Settings, source: Path, tmp_path: Path, seed: int
) -> None:
    choose = random.Random(seed)
    archive = tmp_path / "source.tar"
    archive.write_bytes(b"".join(pack(source)))
    import_id = importer.ask(archive)

    def done() -> bool:
        return status(importer, import_id) == COMPLETED

    with running(settings, "importer"):
        for _ in range(2):
            # Some are not missed, the tracker of resources say, and then the import goes on.
            eventually(lambda: any(processes(import_id)) or done())
            wait_until(done, choose.uniform(0, 2.5))
            victims = list(processes(import_id))
            if victims:
                os.kill(choose.choice(victims), signal.SIGKILL)
                # Whichever it was, none of the others outlives the import by itself.
                eventually(partial(none_lives, victims))
        eventually(done)
    taken = ending(importer, import_id)
    assert isinstance(taken, ImportCompleted)
    assert (taken.counts.added, taken.counts.annotated) == (IMAGES, IMAGES)
    undisturbed = Importer(importer.store, tmp_path / "blobs", importer.database_url, "Again")
    undisturbed.take(archive)
    assert said(importer) == said(undisturbed)
    assert not list(processes(import_id))


def said(importer: Importer) -> list[tuple[str, int]]:
    """Each image's bytes and how much is said of it: the ids differ between projects."""
    return sorted(
        (image.blob, sum(len(one.annotations) for one in image.annotations.values()))
        for image in importer.images().values()
    )


def test_an_import_that_kills_its_process_each_time_fails_and_the_next_goes_on(
    importer: Importer,
    settings: Settings,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("adapters.dataset.imports.feed.PAUSE", 0.01)
    monkeypatch.setattr("adapters.dataset.imports.feed.MODULE", "no.such.module")
    first = importer.ask(source)
    with running(settings, "importer"):
        eventually(lambda: status(importer, first) == FAILED)
        monkeypatch.setattr("adapters.dataset.imports.feed.MODULE", "cli.main")
        second = importer.ask(write_files(tmp_path / "few", {"a/1.png": png(1)}))
        eventually(lambda: status(importer, second) == COMPLETED)
    failed = ending(importer, first)
    assert isinstance(failed, ImportFailed)
    assert "3 times" in failed.reason


def test_two_importers_carry_an_import_out_once(
    importer: Importer, settings: Settings, source: Path
) -> None:
    with running(settings, "importer"), running(settings, "importer"):
        import_id = importer.ask(source)
        eventually(lambda: status(importer, import_id) == COMPLETED)
    taken = ending(importer, import_id)
    assert isinstance(taken, ImportCompleted)
    assert taken.counts.added == IMAGES


def test_an_importer_that_stops_leaves_the_import_to_the_next(
    importer: Importer, settings: Settings, source: Path
) -> None:
    import_id = importer.ask(source)
    with running(settings, "importer"):
        eventually(lambda: any(processes(import_id)))
    assert status(importer, import_id) != FAILED
    with running(settings, "importer"):
        eventually(lambda: status(importer, import_id) == COMPLETED)
    assert len(importer.images()) == IMAGES
