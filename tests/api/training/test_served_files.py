"""A worker reads and stores the files of its job over HTTP, with the token of the job alone."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.settings import Settings
from adapters.training import job_access
from adapters.training.job_key import job_tokens
from adapters.training.policy_feed import put_manifest
from adapters.training.resume_states import ResumeStates
from application.training.policies import REACTS_TO, Effects, react
from domain.training.jobs import AnyJob
from domain.training.messages import ManifestLine, TrainJob
from gpu_worker.served_files import ServedFiles
from gpu_worker.stored_files import StoredFiles
from stemma_trainer.store import (
    JobStore,
    ServerAway,
    Superseded,
    TokenRefused,
    TrainingEnded,
)
from tests.api.scene import Scene


class Dispatched(NamedTuple):
    """A job of the built-in worker, as it has it, and the blob store that it does not have."""

    site: Scene
    job: TrainJob
    blobs: BlobStore
    settings: Settings

    def files(self, delivery: int = 1) -> ServedFiles:
        return ServedFiles(self.job, delivery, self.settings)

    @property
    def lines(self) -> list[ManifestLine]:
        content = StoredFiles(self.blobs, self.job, 1).manifest()
        return msgspec.json.Decoder(ManifestLine).decode_lines(content)

    @property
    def kept(self) -> list[Path]:
        return list(Path(self.settings.decoded, self.job.manifest, "images").glob("*/*"))


@pytest.fixture
def dispatched(site: Scene, tmp_path: Path) -> Dispatched:
    blobs = BlobStore.from_url(site.settings.require("blobs_url"))
    version_id = site.version(site.trainable(images=6)[1])
    jobs: list[AnyJob] = []
    effects = Effects(partial(put_manifest, blobs), jobs.append)
    for recorded in site.store.read_all(names=REACTS_TO):
        if recorded.entity_id == version_id:
            react(site.store, effects, recorded)
    (job,) = jobs
    assert isinstance(job, TrainJob)
    token = job_tokens(site.store.database_url).of(version_id, 1, job.correlation_id)
    settings = Settings(data=tmp_path, api_url=site.url, decoded=str(tmp_path))
    return Dispatched(site, msgspec.structs.replace(job, token=token), blobs, settings)


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are read."""
    paths: list[str] = []
    get = JobStore.get

    def noting(store: JobStore, path: str) -> bytes:
        paths.append(path)
        return get(store, path)

    monkeypatch.setattr(JobStore, "get", noting)
    return paths


def test_the_dataset_is_read_and_kept(dispatched: Dispatched) -> None:
    files = dispatched.files()
    assert files.manifest() == StoredFiles(dispatched.blobs, dispatched.job, 1).manifest()
    for line in dispatched.lines:
        assert files.image(line) == dispatched.blobs.get(line.blob)
    assert {path.name for path in dispatched.kept} == {line.blob for line in dispatched.lines}
    assert files.are_stored(line.blob for line in dispatched.lines)


def test_images_beyond_the_disk_are_read_one_by_one(
    dispatched: Dispatched, requested: list[str]
) -> None:
    """But those on it from there, though it has no room for more."""
    first, *others = dispatched.lines
    for more in (0, 1):
        size = len(dispatched.blobs.get(first.blob)) + more
        own = msgspec.structs.replace(dispatched.settings, image_disk_bytes=size)
        files = dispatched._replace(settings=own).files()
        files.manifest()
        requested.clear()
        for line in [*dispatched.lines, first]:
            assert files.image(line) == dispatched.blobs.get(line.blob)
        assert len(dispatched.kept) == 1
        packs = [path for path in requested if path.startswith("images?")]
        assert [path for path in requested if path not in packs] == [
            f"images/{line.image}" for line in others
        ]
        assert len(packs) <= 1


def test_what_a_killed_process_was_writing_is_deleted_with_an_erased_image(
    dispatched: Dispatched,
) -> None:
    files = dispatched.files()
    line = dispatched.lines[0]
    files.image(line)
    (place,) = (path for path in dispatched.kept if path.name == line.blob)
    place.with_name(f"{place.name}.x1y2").write_bytes(b"the begin")
    dispatched.blobs.erase(line.blob)
    dispatched.files().manifest()
    assert [path for path in dispatched.kept if path.name.startswith(line.blob)] == []


def test_a_store_that_is_away_is_not_one_whose_images_were_erased(dispatched: Dispatched) -> None:
    files, line = dispatched.files(), dispatched.lines[0]
    files.manifest()
    store = JobStore(dispatched.job, dispatched.site.url, 0)
    assert store.get("missing") == b"[]"
    folder = Path(dispatched.site.settings.require("blobs_url").removeprefix("file://"))
    away = folder.rename(folder.with_name("away"))
    try:
        for path in ("missing", f"images/{line.image}", "images?first=0&count=2"):
            with pytest.raises(ServerAway):
                store.get(path)
    finally:
        away.rename(folder)
    assert files.image(line) == dispatched.blobs.get(line.blob)


def test_an_erased_image_is_missed_and_not_kept(dispatched: Dispatched) -> None:
    line, other, *_ = dispatched.lines
    files = dispatched.files()
    files.image(line)
    dispatched.blobs.erase(line.blob)
    again = dispatched.files()
    again.manifest()
    assert line.blob not in {path.name for path in dispatched.kept}
    with pytest.raises(BlobMissing):
        again.image(line)
    assert again.image(other) == dispatched.blobs.get(other.blob)
    assert not again.are_stored([line.blob])
    assert again.are_stored([other.blob])


def test_results_are_stored_and_read_again(dispatched: Dispatched, tmp_path: Path) -> None:
    files = dispatched.files()
    for kind in ("checkpoint", "predictions", "items", "onnx"):
        assert files.file(files.put(kind, kind.encode())) == kind.encode()
    path = tmp_path / "file"
    path.write_bytes(b"a file")
    assert files.file(files.put("predictions", path)) == b"a file"


def test_files_of_others_are_not_given(dispatched: Dispatched) -> None:
    foreign = dispatched.blobs.put(b"weights of another version")
    for digest in (foreign, dispatched.lines[0].blob, "00" * 32):
        with pytest.raises(BlobMissing):
            dispatched.files().file(digest)


def test_a_delivery_resumes_what_another_has_saved_and_supersedes_it(
    dispatched: Dispatched,
) -> None:
    first, second = dispatched.files(1), dispatched.files(2)
    assert first.claim() == b""
    first.save(b"after an epoch")
    first.check()
    assert second.claim() == b"after an epoch"
    for late in (first.claim, first.check, lambda: first.save(b"late")):
        with pytest.raises(Superseded):
            late()
    assert second.claim() == b"after an epoch"
    second.forget()
    assert dispatched.blobs.list_scratch("resume") == []


def test_a_state_that_earlier_releases_saved_is_resumed(dispatched: Dispatched) -> None:
    """An empty one stood for a delivery that began from nothing: what is older does not count."""
    folder = f"resume/{dispatched.job.version_id}"
    states = ResumeStates(dispatched.blobs, dispatched.job.version_id, 1)
    states.claim(1)
    dispatched.blobs.put_scratch(f"{folder}/000001-000002", b"")
    assert dispatched.files(3).claim() == b""
    torn = dispatched.blobs.get_scratch(f"{folder}/000001-000003")[:10]
    dispatched.blobs.put_scratch(f"{folder}/000001-000004", torn)
    assert dispatched.files(5).claim() == b""


def test_deliveries_that_are_handed_back_are_counted(dispatched: Dispatched) -> None:
    store = JobStore(dispatched.job, dispatched.site.url, 0)
    for delivery in (1, 2, 2):
        store.hand_back(delivery)
    assert store.times_handed_back() == 2
    store.check_room()


def test_a_wrong_token_and_the_end_of_a_training_are_told_apart(
    dispatched: Dispatched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_access, "KEPT_SECONDS", 0.0)
    site, job = dispatched.site, dispatched.job
    store = JobStore(job, site.url, 0)
    with pytest.raises(TokenRefused):
        JobStore(msgspec.structs.replace(job, token="0" * 64), site.url, 0).get("manifest")
    site.http.post(f"/api/v1/versions/{job.version_id}/cancel").raise_for_status()
    with pytest.raises(TrainingEnded):
        store.claim(1)
    store.forget()
