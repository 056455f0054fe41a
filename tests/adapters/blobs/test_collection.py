"""Blobs that no event names go by way of the trash; those that one names are never lost."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.blobs.collection import (
    CollectionReport,
    blobs_named_by,
    check,
    collect,
    digests_in,
)
from adapters.blobs.objects import Objects, utc_now
from application.access.first_key import give_key
from application.log.store import Store
from cli.main import main
from cli.operations.first_key import new_key
from domain.dataset.image import ImageAdded
from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.trainers.trainer import TrainerUse
from domain.training.version import (
    BestCheckpointSaved,
    EpochItemsRecorded,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingStarted,
)
from tests.application.scenes import recorded
from tests.domain.training.version_samples import CREATED
from tests.servers import Database

WEEK = timedelta(days=7)
DATA = b"some pixels"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def blobs(any_blobs_url: str) -> BlobStore:
    return BlobStore.from_url(any_blobs_url)


class Scene:
    """A log and a blob store, collected as if some time had passed since now."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self.store = store
        self.blobs = blobs

    def collect(self, days_later: float, *, dry_run: bool = False) -> CollectionReport:
        now = utc_now() + timedelta(days=days_later)
        return collect(self.store, self.blobs, older_than=WEEK, now=now, dry_run=dry_run)

    def name(self, digest: str) -> None:
        """Append an event that names a blob."""
        added = ImageAdded("project-1", digest, 8, 8, "a.png", {})
        self.store.append([recorded(f"image-{digest[:8]}", 1, added)])

    def lying(self) -> set[str]:
        return {blob.digest for blob in self.blobs.list_blobs()}

    def trashed(self) -> set[str]:
        return {blob.digest for blob in self.blobs.list_trash()}


@pytest.fixture
def scene(store: Store, blobs: BlobStore) -> Scene:
    return Scene(store, blobs)


def test_the_weights_of_a_cancelled_version_are_unnamed(scene: Scene) -> None:
    """But not those that another version has come to as well."""
    own, shared = (scene.blobs.put(data) for data in (DATA, b"the same weights"))
    saved = [BestCheckpointSaved(digest, 9, "accuracy", 0.9, 1) for digest in (own, shared)]
    scene.store.append(
        [
            recorded("version-1", 1, saved[0]),
            recorded("version-1", 2, saved[1]),
            recorded("version-2", 1, saved[1]),
        ]
    )
    assert scene.collect(100) == CollectionReport(kept=2)
    scene.store.append([recorded("version-1", 3, VersionTrainingCancelled())])
    scene.collect(100)
    assert (scene.lying(), scene.trashed()) == ({shared}, {own})
    scene.collect(200)
    assert scene.trashed() == set()
    assert list(check(scene.store, scene.blobs)) == []


def test_what_an_event_names_is_kept(scene: Scene) -> None:
    scene.name(scene.blobs.put(DATA))
    packed, _ = scene.blobs.put_compressed([b"many lines"])
    scene.name(packed)
    assert scene.collect(100) == CollectionReport(kept=2)
    assert scene.lying() == {DIGEST, packed}


def test_what_none_names_is_discarded_and_later_deleted(scene: Scene) -> None:
    scene.blobs.put(DATA)
    packed, _ = scene.blobs.put_compressed([b"many lines"])
    assert scene.collect(6.9) == CollectionReport(kept=2)
    done = scene.collect(7.1)
    assert (done.kept, done.discarded) == (0, 2)
    assert done.discarded_bytes > len(DATA)
    assert (scene.lying(), scene.trashed()) == (set(), {DIGEST, packed})
    assert scene.collect(6.9) == CollectionReport()
    done = scene.collect(7.1)
    assert (done.purged, done.purged_bytes > len(DATA)) == (2, True)
    assert scene.trashed() == set()
    assert not scene.blobs.has(DIGEST)


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    scene.blobs.put(DATA)
    dry = scene.collect(8, dry_run=True)
    assert scene.lying() == {DIGEST}
    assert scene.collect(8) == dry
    dry = scene.collect(8, dry_run=True)
    assert dry == CollectionReport(purged=1, purged_bytes=len(DATA))
    assert scene.trashed() == {DIGEST}
    scene.name(DIGEST)
    assert scene.collect(8, dry_run=True) == CollectionReport(restored=1)
    assert scene.trashed() == {DIGEST}


def test_scratch_and_derived_entries_are_left_alone(scene: Scene) -> None:
    scene.blobs.put_scratch("resume/1", DATA)
    scene.blobs.put_derived("thumbnail/1", DATA)
    assert scene.collect(100) == CollectionReport()
    assert scene.blobs.get_scratch("resume/1") == scene.blobs.get_derived("thumbnail/1") == DATA


def test_a_blob_that_is_discarded_before_its_event_is_readable(scene: Scene) -> None:
    """The writer saw the blob and left it; the collector moved it; then came the event."""
    scene.blobs.put(DATA)
    assert scene.blobs.put(DATA) == DIGEST
    scene.collect(8)
    assert scene.trashed() == {DIGEST}
    scene.name(DIGEST)
    assert scene.blobs.get(DIGEST) == DATA
    assert (scene.lying(), scene.trashed()) == ({DIGEST}, set())


def test_a_blob_that_is_discarded_before_its_event_is_put_back(scene: Scene) -> None:
    """As above, but nobody reads it before the trash is emptied."""
    scene.blobs.put(DATA)
    scene.collect(8)
    scene.name(DIGEST)
    assert scene.collect(100) == CollectionReport(kept=1, restored=1)
    assert (scene.lying(), scene.trashed()) == ({DIGEST}, set())


def test_a_blob_that_is_stored_anew_is_kept_and_its_copy_deleted(scene: Scene) -> None:
    scene.blobs.put(DATA)
    scene.collect(8)
    scene.blobs.put(DATA)
    scene.name(DIGEST)
    done = scene.collect(8)
    assert (done.kept, done.restored, done.purged) == (1, 0, 1)
    assert (scene.lying(), scene.trashed()) == ({DIGEST}, set())


def test_a_put_renews_the_age(store: Store, tmp_path: Path) -> None:
    """In a folder, whose times a test can set."""
    scene = Scene(store, BlobStore.from_url(tmp_path.as_uri()))
    scene.blobs.put(DATA)
    os.utime(tmp_path / "sha256" / DIGEST[:2] / DIGEST, (1, 1))
    assert scene.collect(0, dry_run=True).discarded == 1
    scene.blobs.put(DATA)
    assert scene.collect(0) == CollectionReport(kept=1)


@pytest.mark.parametrize("hours", [0, 23])
def test_less_than_a_day_is_refused(scene: Scene, hours: int) -> None:
    with pytest.raises(Invalid, match="at least a day"):
        collect(
            scene.store,
            scene.blobs,
            older_than=timedelta(hours=hours),
            now=utc_now(),
            dry_run=True,
        )


def test_one_collection_runs_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[Conflict] = []
    listing = scene.blobs.list_blobs

    def collect_within() -> Iterator[object]:
        with pytest.raises(Conflict, match="wait until it has ended") as caught:
            scene.collect(8)
        refused.append(caught.value)
        return listing()

    monkeypatch.setattr(scene.blobs, "list_blobs", collect_within)
    scene.collect(8)
    assert len(refused) == 1
    monkeypatch.undo()
    scene.collect(8)


OTHER = "0" * 63 + "1"
STARTED = VersionTrainingStarted(1, 1, "worker-1", "cpu", {"source": OTHER}, 0)


@pytest.mark.parametrize(
    ("event", "anywhere", "named"),
    [
        (ImageAdded("p", DIGEST, 1, 1, "a.png", {"sha": OTHER}), {DIGEST, OTHER}, {DIGEST}),
        (ImageAdded("p", DIGEST, 1, 1, f"{OTHER}.png", {}), {DIGEST, OTHER}, {DIGEST}),
        (ImageAdded("p", "", 1, 1, "a.png", {OTHER: ""}), {OTHER}, set()),
        (ImageAdded("p", DIGEST.upper(), 1, 1, OTHER + "0", {OTHER[1:]: ""}), set(), set()),
        (VersionTrainingCompleted(DIGEST, OTHER, 1), {DIGEST, OTHER}, {DIGEST}),
        (STARTED, {OTHER}, set()),
    ],
)
def test_digests_are_found_wherever_they_are(
    event: Event, anywhere: set[str], named: set[str]
) -> None:
    assert digests_in(event) == anywhere
    assert blobs_named_by(event) == named


def test_the_digest_of_a_trainers_form_names_no_blob() -> None:
    use = TrainerUse("trainer-1", "acme/logreg", OTHER, {"weights": OTHER}, "opaque")
    created = msgspec.structs.replace(CREATED, trainer=use)
    assert OTHER in digests_in(created)
    assert OTHER not in blobs_named_by(created)


def test_check_finds_what_is_missing_or_corrupt(scene: Scene, any_blobs_url: str) -> None:
    good, packed = scene.blobs.put(DATA), scene.blobs.put_compressed([b"lines"])[0]
    bad, bad_packed = scene.blobs.put(b"bad"), scene.blobs.put_compressed([b"bad lines"])[0]
    raw = Objects.from_url(any_blobs_url)
    raw.write(f"sha256/{bad[:2]}/{bad}", b"worse")
    raw.write(f"zstd/{bad_packed[:2]}/{bad_packed}", b"worse")
    trashed = scene.blobs.put(b"in the trash")
    for blob in scene.blobs.list_blobs():
        if blob.digest == trashed:
            scene.blobs.discard(blob)
    missing = OTHER
    for digest in (good, packed, bad, bad_packed, trashed, missing):
        scene.name(digest)
    troubles = list(check(scene.store, scene.blobs))
    assert [(one.digest, one.problem) for one in troubles] == [
        (bad, "corrupt"),
        (bad_packed, "corrupt"),
        (missing, "missing"),
    ]
    assert troubles[0].event_name == "image.added"
    assert troubles[0].position > 0


def test_the_digest_of_a_keys_secret_names_no_blob(scene: Scene) -> None:
    give_key(scene.store, new_key(), "first")
    assert list(check(scene.store, scene.blobs)) == []


@pytest.fixture
def environ(migrated: Database, any_blobs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMMA_DATABASE_URL", migrated.app_url)
    monkeypatch.setenv("STEMMA_BLOBS_URL", any_blobs_url)


@pytest.mark.usefixtures("environ")
def test_the_commands_say_what_they_find(scene: Scene) -> None:
    scene.blobs.put(DATA)
    done = CliRunner().invoke(main, ["blobs", "collect", "--older-than", "1d", "--dry-run"])
    assert (done.exit_code, done.output.splitlines()[:2]) == (
        0,
        ["1 blobs kept", "0 blobs would be moved to the trash (0 bytes)"],
    )
    done = CliRunner().invoke(main, ["blobs", "collect", "--older-than", "23h"])
    assert (done.exit_code, done.output) == (1, "Error: blobs must be kept for at least a day\n")
    done = CliRunner().invoke(main, ["blobs", "check"])
    assert (done.exit_code, done.output) == (
        0,
        "every blob that the log names exists and is intact\n",
    )
    scene.name(OTHER)
    done = CliRunner().invoke(main, ["blobs", "check"])
    assert done.exit_code == 1
    assert f"{OTHER} is missing; named by image.added at position" in done.output


def test_an_age_that_is_none_is_refused() -> None:
    for age in ("", "7", "7w", "-7d", "7 d", "999999d"):
        done = CliRunner().invoke(main, ["blobs", "collect", "--older-than", age])
        assert done.exit_code == 2
        assert "such as 7d or 36h" in done.output


def test_the_help_loads_no_part() -> None:
    script = "import sys, cli.main; sys.exit('application.log.store' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_purged_blob_that_was_never_named_is_missing(scene: Scene) -> None:
    scene.blobs.put(DATA)
    scene.collect(8)
    scene.collect(8)
    with pytest.raises(BlobMissing):
        scene.blobs.get(DIGEST)


def test_the_lock_goes_with_its_holder(scene: Scene, migrated: Database) -> None:
    with psycopg.connect(migrated.app_url) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('stemma blobs collect', 0))")
        with pytest.raises(Conflict):
            scene.collect(8)
    assert scene.collect(8) == CollectionReport()


def test_items_are_kept_of_the_newest_versions_of_each_view(scene: Scene) -> None:
    """Those of a version that still trains are kept, and so is a file that another one names."""
    files = [scene.blobs.put(f"items {number}".encode()) for number in range(4)]
    completed = VersionTrainingCompleted(DIGEST, "cd" * 32, 9)
    ended = {"a": "v1", "b": "v1", "c": "v2", "d": "v1", "e": "v1"}
    events = []
    for number, (version, view) in enumerate(ended.items()):
        created = msgspec.structs.replace(CREATED, view_id=view)
        shared = files[min(number, 3)]
        items = EpochItemsRecorded(1, 5, shared, 9, 9, 0.5)
        story = [created, items] if version == "b" else [created, items, completed]
        events += [recorded(f"version-{version}", n, event) for n, event in enumerate(story, 1)]
    scene.store.append(events)

    def run(*, dry_run: bool) -> int:
        now = utc_now() + timedelta(days=8)
        report = collect(
            *(scene.store, scene.blobs),
            older_than=WEEK,
            now=now,
            dry_run=dry_run,
            kept_flip_books=1,
        )
        return report.versions_without_items

    assert run(dry_run=True) == 3
    assert scene.lying() == set(files)
    assert run(dry_run=False) == 2
    assert scene.trashed() == {files[0]}, "b still trains, c is alone, d has the file of e"
    given_up = scene.store.read_all(names=["version.epoch_items_discarded"])
    assert [recorded.stream for recorded in given_up] == ["version-a", "version-d"]
    assert run(dry_run=False) == 0
    missing = {problem.digest for problem in check(scene.store, scene.blobs)}
    assert not missing & set(files), "the checkpoints were never stored"
