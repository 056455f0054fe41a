"""The part that carries imports out: each ends once, whatever happens to its process."""

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from adapters.dataset.imports.feed import TRIES
from adapters.dataset.imports.requested import find_requested
from adapters.processes.processes import wait_until
from adapters.settings import Settings
from application.log.store import Store
from domain.dataset.imports import COMPLETED, FAILED, REQUESTED, ImportCompleted, ImportFailed
from stemma_client.packing import pack
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.adapters.running import eventually, running
from tests.locales import latin_1
from tests.servers import Database
from tests.small_disk import small_disk

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
        state = (
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        )
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
    assert not list((tmp_path / "blobs" / "staged").iterdir())


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
    assert "exit code 1" in failed.reason
    assert "memory" not in failed.reason, "nothing says so"


def test_an_import_waits_for_room_on_a_full_disk(
    importer: Importer, settings: Settings, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir(exist_ok=True)
    with small_disk(tmp_path / "blobs", 32) as disk:
        disk.fill()
        with running(settings, "importer"):
            import_id = importer.ask(source)
            eventually(lambda: "No space left" in error_of(importer, "importer"))
            assert status(importer, import_id) == REQUESTED
            disk.free()
            eventually(lambda: status(importer, import_id) == COMPLETED)
    assert len(importer.images()) == IMAGES


FULL = """
CREATE FUNCTION log.full() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER a_full_disk BEFORE INSERT ON log.stemma_events
FOR EACH STATEMENT EXECUTE FUNCTION log.full()
"""


def test_an_import_waits_for_room_in_the_database(
    importer: Importer,
    settings: Settings,
    migrated: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.dataset.imports.feed.PAUSE", 0.01)
    import_id = importer.ask(write_files(tmp_path / "few", {"a/1.png": png(1)}))
    tried: set[int] = set()
    with psycopg.connect(migrated.admin_url, autocommit=True) as connection:
        connection.execute(FULL)
        with running(settings, "importer"):

            def tried_again() -> bool:
                tried.update(filter(is_main, processes(import_id)))
                return len(tried) > TRIES or status(importer, import_id) == FAILED

            eventually(tried_again)
            assert status(importer, import_id) == REQUESTED
            connection.execute("DROP TRIGGER a_full_disk ON log.stemma_events")
            eventually(lambda: status(importer, import_id) == COMPLETED)


def is_main(process: int) -> bool:
    """Whether it is the process of an import, and not of its pool."""
    try:
        return b"carry-out-import" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def test_an_import_that_needs_more_room_than_there_is_fails(
    importer: Importer,
    settings: Settings,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = tmp_path / "source.tar"
    archive.write_bytes(b"".join(pack(source)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with small_disk(temporary, 3), running(settings, "importer"):
        import_id = importer.ask(archive)
        eventually(lambda: status(importer, import_id) == FAILED)
    failed = ending(importer, import_id)
    assert isinstance(failed, ImportFailed)
    assert "the disk is full: free some space" in failed.reason


def test_an_import_in_a_locale_that_is_not_utf_8(
    importer: Importer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in latin_1(tmp_path).items():
        monkeypatch.setenv(name, value)
    source = write_files(tmp_path / "数据", {"кот/ä 1.png": png(1), "犬/2.png": png(2)})
    with running(settings, "importer"):
        import_id = importer.ask(source)
        eventually(lambda: status(importer, import_id) in (COMPLETED, FAILED))
    assert status(importer, import_id) == COMPLETED, ending(importer, import_id)
    assert len(importer.images()) == 2


def error_of(importer: Importer, part: str) -> str:
    """The last error of a part, as health and `stemma status` have it."""
    with psycopg.connect(importer.database_url) as connection:
        found = connection.execute("SELECT error FROM work.parts WHERE part = %s", [part])
        return next((error or "" for (error,) in found), "")


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
