"""Decoded images that a worker keeps from one training to the next on the same dataset."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.jobs import Job
from domain.training.messages import AnyReport
from gpu_worker.decoded import clean_up, decoded_folder, forget_others, temporary_folder
from gpu_worker.images import ImageUnreadable
from tests.gpu_worker.at_hand import prepare, train_version
from tests.gpu_worker.harness import backend, worker
from tests.gpu_worker.samples import coloured_job, coloured_lines, final_weights
from tests.gpu_worker.test_predictions import predicting

ASPECT = {"resizer": "keep_aspect_ratio", "max_dimension": 64}


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.data / "kept"


@pytest.fixture
def keeping(settings: Settings, folder: Path) -> Settings:
    folder.mkdir()
    return msgspec.structs.replace(settings, decoded=str(folder), nats_url=None)


def damage_images(settings: Settings, blobs: BlobStore) -> None:
    """Whoever decodes an image now, fails."""
    for line in coloured_lines(blobs):
        file_of(settings, line.blob).write_bytes(b"no image")


def file_of(settings: Settings, digest: str) -> Path:
    (file,) = (settings.data / "blobs").rglob(f"*{digest}*")
    return file


@pytest.mark.parametrize("form", [{}, ASPECT])
def test_the_next_training_decodes_nothing_and_has_the_same_weights(
    keeping: Settings, blobs: BlobStore, form: dict[str, Any]
) -> None:
    job = coloured_job(blobs, **form)
    first: list[AnyReport] = []
    train_version(job, 1, keeping, blobs, first.append)
    damage_images(keeping, blobs)
    second: list[AnyReport] = []
    again = msgspec.structs.replace(job, version_id="v2")
    train_version(again, 1, keeping, blobs, second.append)
    assert final_weights(second) == final_weights(first)


def test_an_image_whose_bytes_are_gone_is_missed_all_the_same(
    keeping: Settings, blobs: BlobStore
) -> None:
    job = coloured_job(blobs)
    prepare(job, blobs, keeping, lambda _: None)
    line = coloured_lines(blobs)[-1]
    file_of(keeping, line.blob).unlink()
    with pytest.raises(ImageUnreadable, match=line.image):
        prepare(job, blobs, keeping, lambda _: None)


@pytest.mark.parametrize("other", [{"width": 64, "height": 64}, {"margin_crop": 0.2}, ASPECT])
def test_what_was_decoded_for_another_input_is_not_taken(
    keeping: Settings, blobs: BlobStore, other: dict[str, Any]
) -> None:
    prepare(coloured_job(blobs), blobs, keeping, lambda _: None)
    job = coloured_job(blobs, **other)
    damage_images(keeping, blobs)
    with pytest.raises(ImageUnreadable):
        prepare(job, blobs, keeping, lambda _: None)


def test_a_file_that_was_cut_off_is_not_taken(
    keeping: Settings, blobs: BlobStore, folder: Path
) -> None:
    prepare(coloured_job(blobs), blobs, keeping, lambda _: None)
    (file,) = folder.glob("*/*/0.npy")
    file.write_bytes(file.read_bytes()[:200])
    data = prepare(coloured_job(blobs), blobs, keeping, lambda _: None)
    assert data.train.cached == len(data.train)


def test_more_than_the_cache_may_hold_is_not_kept(
    keeping: Settings, blobs: BlobStore, folder: Path
) -> None:
    prepare(coloured_job(blobs), blobs, keeping, lambda _: None)
    tight = msgspec.structs.replace(keeping, image_cache_bytes=200_000)
    prepare(coloured_job(blobs, margin_crop=0.2), blobs, tight, lambda _: None)
    assert len(list(folder.glob("*/*"))) == 1


def test_other_datasets_are_forgotten(keeping: Settings, folder: Path) -> None:
    for name in ("mine", "other"):
        (folder / name / "form").mkdir(parents=True)
    forget_others(keeping, "mine")
    assert [each.name for each in folder.iterdir()] == ["mine"]


def test_what_only_an_ended_job_needed_is_removed(
    keeping: Settings, blobs: BlobStore, folder: Path
) -> None:
    def left_by(job: Job) -> list[str]:
        clean_up(keeping, job)
        return sorted(each.name for each in folder.iterdir())

    training = coloured_job(blobs)
    for name in ("of a test", training.manifest):
        (folder / name).mkdir()
    with temporary_folder(keeping) as of_killed:
        assert Path(of_killed).parent == folder
        assert left_by(training) == sorted(["of a test", training.manifest])
    assert left_by(predicting(training, "weights", "of a test")) == [training.manifest]


def test_the_folder_is_new_and_gone_in_the_end(settings: Settings) -> None:
    with decoded_folder(settings) as own:
        kept = Path(own.decoded)
        (kept / "left by a worker that was killed").mkdir()
    assert not kept.exists()
    with decoded_folder(settings) as again:
        assert list(Path(again.decoded).iterdir()) == []
    shutil.rmtree(settings.data / "decoded")
    (settings.data / "decoded").write_text("a file", encoding="utf-8")
    with decoded_folder(settings) as without:
        assert without.decoded == ""


def test_a_worker_prepares_a_dataset_once(settings: Settings, blobs: BlobStore) -> None:
    first = coloured_job(blobs)
    second = msgspec.structs.replace(first, version_id="v2")

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.dispatch(first)
            await our.until_end("v1")
            damage_images(settings, blobs)
            await our.dispatch(second)
            await our.until_end("v2")
        first_run, second_run = ([each.body for each in our.of(name)] for name in ("v1", "v2"))
        assert final_weights(second_run) == final_weights(first_run)

    asyncio.run(scenario())
