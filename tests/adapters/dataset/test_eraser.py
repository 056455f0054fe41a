"""Erased bytes are gone from the store, whatever dies or fails on the way, and stay away."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from adapters.blobs.blobs import PICTURE, THUMBNAIL_SIZES, BlobMissing, BlobStore, thumbnail_key
from adapters.blobs.collection import check, collect
from adapters.blobs.objects import Objects, utc_now
from adapters.dataset.eraser import FEED, sweep
from adapters.dataset.exports import ExportRequest, export
from adapters.dataset.imports.leftovers import delete_leftovers, work_prefix
from adapters.dataset.imports.requested import upload_key
from adapters.dataset.thumbnails import make
from adapters.images.decoders import Decoder
from adapters.images.small import Made
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from adapters.uploads.image_files import ImageLimits
from application.dataset import projects
from application.dataset.erasure import REACTS_TO, erase_image, erased_among, react
from application.log.store import Store
from cli.main import main
from domain.dataset.image import AddImage, EraseImage, ImageAdded
from domain.dataset.imports import ImportCompleted, ImportRefused, ImportRules
from domain.errors import Conflict
from stemma_client.packing import pack
from tests.adapters.blobs.test_collection import WEEK
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.adapters.running import eventually, running
from tests.application.scenes import EVERYTHING, Scene, do
from tests.servers import Database
from tests.waiting import HANG_SECONDS

FACE = png(7)
DIGEST = hashlib.sha256(FACE).hexdigest()
WHY = "consent withdrawn"
LIMITS = ImageLimits(1_000_000, 1_000_000)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def blobs(any_blobs_url: str) -> BlobStore:
    return BlobStore.from_url(any_blobs_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def settings(migrated: Database, folder: Path, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, database_url=migrated.app_url, blobs_url=f"file://{folder}")


def fill(blobs: BlobStore, raw: Objects) -> None:
    """The bytes wherever they may lie."""
    blobs.put(FACE)
    blobs.put_compressed([FACE])
    for space in ("sha256", "zstd"):
        raw.write(f"trash/{space}/{DIGEST[:2]}/{DIGEST}", FACE)
    for size in (*THUMBNAIL_SIZES, PICTURE):
        blobs.put_derived(thumbnail_key(DIGEST, size), b"small")


def erased(store: Store) -> str:
    """An image with these bytes that is erased; its id."""
    scene = Scene(store)
    addition = AddImage(scene.project, DIGEST, 8, 6, "face.png")
    key = do(store, lambda s: projects.add_images(s, scene.project, [addition])).ids[0]
    do(store, lambda s: erase_image(s, key, EraseImage(WHY), EVERYTHING))
    return key


def holding(folder: Path) -> list[str]:
    """The files below a folder that are the image, or are named after it."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and (DIGEST in path.name or hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST)
    ]


def is_gone(store: Store) -> bool:
    found = erased_among(store, [DIGEST]).get(DIGEST)
    return found is not None and found.gone


def test_a_blob_goes_from_everywhere_and_others_stay(blobs: BlobStore, any_blobs_url: str) -> None:
    raw = Objects.from_url(any_blobs_url)
    fill(blobs, raw)
    other = blobs.put(b"another image")
    assert len(blobs.copies(DIGEST)) == 7
    blobs.erase(DIGEST)
    assert blobs.copies(DIGEST) == []
    assert {entry.key for entry in raw.entries("")} == {f"sha256/{other[:2]}/{other}"}
    blobs.erase(DIGEST)


def test_the_part_deletes_what_was_erased(store: Store, settings: Settings, folder: Path) -> None:
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    fill(blobs, Objects.from_url(settings.require("blobs_url")))
    assert len(holding(folder)) == 7
    erased(store)
    with running(settings, "eraser"):
        eventually(lambda: is_gone(store))
    assert holding(folder) == []
    assert list(check(store, blobs)) == []


def test_it_waits_for_a_blob_store_that_is_away(
    store: Store, settings: Settings, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in a folder's place is an error to whoever looks for the folder's files."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    blobs.put(FACE)
    place = folder / "sha256" / DIGEST[:2]
    away = folder / "away"
    place.rename(away)
    place.write_bytes(b"in the way")
    erased(store)
    with running(settings, "eraser"):
        eventually(lambda: "part eraser failed" in caplog.text)
        assert not is_gone(store)
        place.unlink()
        away.rename(place)
        eventually(lambda: is_gone(store))
    assert holding(folder) == []


@pytest.mark.parametrize("deletions", range(8))
def test_killed_between_any_two_deletions_it_ends_as_if_it_had_not_been(
    store: Store, settings: Settings, folder: Path, deletions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = settings.require("blobs_url")
    fill(BlobStore.from_url(url), Objects.from_url(url))
    erased(store)
    left = deletions
    delete = Objects.delete

    def delete_or_die(objects: Objects, key: str) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        delete(objects, key)

    def once() -> None:
        again = BlobStore.from_url(url)
        react_to_all(store, FEED, REACTS_TO, lambda order: react(store, again.erase, order))

    monkeypatch.setattr(Objects, "delete", delete_or_die)
    if deletions < 7:
        with pytest.raises(Killed):
            once()
        assert len(holding(folder)) == 7 - deletions
        assert not is_gone(store)
    monkeypatch.undo()
    once()
    assert holding(folder) == []
    assert is_gone(store)
    assert store.tracked(FEED) == store.head()


def test_what_comes_back_is_found_and_deleted(store: Store, blobs: BlobStore) -> None:
    erased(store)
    assert list(check(store, blobs)) == []
    for bring in (
        lambda: blobs.put(FACE),
        lambda: blobs.put_derived(thumbnail_key(DIGEST, 256), b"small"),
    ):
        bring()
        [trouble] = check(store, blobs)
        assert (trouble.digest, trouble.problem) == (DIGEST, "erased, but still stored")
        assert trouble.event_name == "blob.erasure_ordered"
        sweep(store, blobs)
        assert blobs.copies(DIGEST) == []


def test_a_collection_deletes_what_is_erased_at_once(store: Store, blobs: BlobStore) -> None:
    erased(store)
    blobs.put(FACE)
    for dry_run in (True, False):
        report = collect(store, blobs, older_than=WEEK, now=utc_now(), dry_run=dry_run)
        assert report.erased == 1
        assert bool(blobs.copies(DIGEST)) is dry_run
    [blob] = [blobs.put(FACE)]
    blobs.discard(next(one for one in blobs.list_blobs() if one.digest == blob))
    for dry_run in (True, False):
        report = collect(store, blobs, older_than=WEEK, now=utc_now(), dry_run=dry_run)
        assert (report.erased, report.restored) == (1, 0)
    assert blobs.copies(DIGEST) == []


def test_the_commands_say_what_is_erased_and_there(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    erased(store)
    blobs_url = settings.require("blobs_url")
    BlobStore.from_url(blobs_url).put(FACE)
    monkeypatch.setenv("STEMMA_DATABASE_URL", settings.require("database_url"))
    monkeypatch.setenv("STEMMA_BLOBS_URL", blobs_url)
    done = CliRunner().invoke(main, ["blobs", "check"])
    assert done.exit_code == 1
    assert f"{DIGEST} is erased, but still stored; named by blob.erasure_ordered" in done.output
    done = CliRunner().invoke(main, ["blobs", "collect"])
    assert "1 deleted because the log records their erasure" in done.output
    assert CliRunner().invoke(main, ["blobs", "check"]).exit_code == 0


def test_a_thumbnail_that_was_being_made_is_not_kept(blobs: BlobStore) -> None:
    blobs.put(FACE)

    class Overtaken(Decoder):
        def small(self, data: bytes, **options: Any) -> Made:
            blobs.erase(DIGEST)
            return super().small(data, **options)

    decoding = closing(Overtaken(LIMITS.max_pixels, HANG_SECONDS))
    with decoding as decoder, pytest.raises(BlobMissing, match="erased"):
        make(blobs, DIGEST, 256, None, decoder)
    assert blobs.copies(DIGEST) == []


def test_an_export_of_a_past_with_erased_files_is_refused_by_name(
    store: Store, blobs: BlobStore
) -> None:
    key = erased(store)
    [added] = store.read(0, names=["image.added"])
    assert isinstance(added.event, ImageAdded)
    whole = ExportRequest(added.event.project_id, "studio", added.position, with_images=True)
    with pytest.raises(Conflict, match=f"image {key} was erased later"):
        export(store, blobs, whole, io.BytesIO())
    export(store, blobs, msgspec.structs.replace(whole, with_images=False), io.BytesIO())


@pytest.fixture
def importer(store: Store, settings: Settings, folder: Path) -> Importer:
    return Importer(store, folder, settings.require("database_url"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_files(tmp_path / "source", {"a/face.png": FACE, "a/1.png": png(1)})


def test_an_import_that_brings_erased_bytes_is_refused_by_file(
    importer: Importer, source: Path, folder: Path
) -> None:
    erased(importer.store)
    ending = importer.take(source)
    assert isinstance(ending, ImportRefused)
    [problem] = ending.first
    assert problem.where == "a/face.png"
    assert WHY in problem.reason
    ending = importer.take(source, rules=ImportRules(skip_bad=True))
    assert isinstance(ending, ImportCompleted)
    assert ending.counts.added == 1
    assert holding(folder) == []


def test_an_import_deletes_what_a_killed_one_left(importer: Importer, source: Path) -> None:
    url = importer.store.database_url
    import_id = importer.ask(source)
    left = Path(os.environ.get("TMPDIR", "/tmp")) / f"{work_prefix(url, import_id)}abc"
    left.mkdir()
    (left / "face.png").write_bytes(FACE)
    delete_leftovers(importer.blobs, url, "another")
    assert left.exists()
    importer.run(import_id)
    assert not left.exists()


def test_an_archive_goes_with_an_import_that_was_killed_after_its_end(
    importer: Importer, settings: Settings, source: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "source.tar"
    archive.write_bytes(b"".join(pack(source)))
    import_id = importer.ask(archive)
    importer.run(import_id)
    importer.blobs.put_scratch_file(upload_key(import_id), archive)

    def scratch() -> Iterator[str]:
        yield from importer.blobs.list_scratch("imports")

    assert list(scratch()) == [upload_key(import_id)]
    with running(settings, "importer"):
        eventually(lambda: list(scratch()) == [])
