"""The training itself, in this process: what it says, how it resumes, and how it fails."""

import io

import msgspec
import pytest
import torch
from PIL import Image

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochMetrics,
    Evaluated,
    Started,
    StepAdvanced,
    TrainJob,
)
from gpu_worker.failures import explain
from gpu_worker.images import ImageUnreadable
from gpu_worker.networks import build_network
from gpu_worker.progress import NonFinite
from stemma_trainer.store import Superseded
from tests.gpu_worker.at_hand import claim, train_version
from tests.gpu_worker.conftest import Reference
from tests.gpu_worker.samples import (
    ITERATIONS_PER_EPOCH,
    TRAIN_IMAGES,
    VALIDATION_IMAGES,
    coloured_job,
    coloured_lines,
    figures,
    final_weights,
    of_type,
    put_manifest,
    told_once,
)

DRAWN = {"red": 12, "green": 11, "blue": 11}
EVALUATING = StepAdvanced("evaluating", "running", 0.0)


class Killed(BaseException):
    """Stands for a process that is gone: nothing in the training may catch it."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, nats_url=None)


@pytest.fixture
def nats_url() -> str:
    return ""


def reason(job: TrainJob, settings: Settings, blobs: BlobStore) -> str:
    """Why a job fails, as the user reads it."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what we look at
        train_version(job, 1, settings, blobs, lambda _: None)
    return explain(caught.value)


def test_a_training_tells_its_steps_its_figures_and_its_end(uninterrupted: Reference) -> None:
    said = uninterrupted()
    total = 2 * ITERATIONS_PER_EPOCH
    assert isinstance(said[0], Started)
    assert said[0].resumed_from == 0
    assert {"torch", "python", "cuda", "code"} < said[0].environment.keys()
    steps = [(body.step, body.status) for body in of_type(StepAdvanced, said)]
    once = list(dict.fromkeys(steps))
    assert once == [
        (step, status)
        for step in ("preparing", "training", "evaluating", "saving")
        for status in ("running", "done")
    ]
    assert of_type(DataPrepared, said) == [
        DataPrepared(ITERATIONS_PER_EPOCH, total, TRAIN_IMAGES, DRAWN)
    ]
    assert told_once(said)
    assert sorted(figures(said)) == list(range(total))
    losses = [loss for _, loss in figures(said).values()]
    assert sum(losses[ITERATIONS_PER_EPOCH:]) < sum(losses[:ITERATIONS_PER_EPOCH])
    epochs = of_type(EpochMetrics, said)
    assert [(body.epoch, body.iteration) for body in epochs] == [(1, 5), (2, 10)]
    best = max(epochs, key=lambda body: (body.validation_accuracy, -body.validation_loss))
    saved = of_type(CheckpointSaved, said)[-1]
    assert (saved.epoch, saved.value) == (best.epoch, best.validation_accuracy)
    (evaluated,) = of_type(Evaluated, said)
    assert evaluated.validation.accuracy == best.validation_accuracy
    assert evaluated.validation.images == VALIDATION_IMAGES
    assert isinstance(said[-1], Completed)
    assert said[-1].checkpoint == saved.checkpoint
    evaluating = next(n for n, one in enumerate(said) if one == EVALUATING)
    assert of_type(CheckpointSaved, said[evaluating:]) == [saved]


def test_a_training_may_end_within_an_epoch(uninterrupted: Reference) -> None:
    said = uninterrupted(epochs=1.3)
    assert [(b.epoch, b.iteration) for b in of_type(EpochMetrics, said)] == [(1, 5), (2, 6)]
    assert sorted(figures(said)) == list(range(6))


@pytest.mark.parametrize("optimizer", ["nadam", "momentum"])
def test_resuming_within_an_epoch_changes_no_bit(
    optimizer: str, uninterrupted: Reference, settings: Settings, blobs: BlobStore
) -> None:
    """The network has dropout; the one cycle and the steps are both schedules with a state."""
    reference = uninterrupted(optimizer=optimizer)
    job = coloured_job(blobs, optimizer=optimizer)
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    said: list[AnyReport] = []
    for delivery, last in enumerate((3, 7, 100), start=1):

        def say(report: AnyReport, last: int = last) -> None:
            if isinstance(report, BatchMetrics) and report.first_iteration >= last:
                raise Killed
            said.append(report)

        try:
            train_version(job, delivery, often, blobs, say)
        except Killed:
            continue
    assert [body.resumed_from for body in of_type(Started, said)] == [0, 3, 7]
    assert figures(said) == figures(reference)
    assert of_type(EpochMetrics, said) == of_type(EpochMetrics, reference)
    assert final_weights(said) == final_weights(reference)


def test_a_training_that_is_to_stop_ends_with_its_epoch(
    uninterrupted: Reference, settings: Settings, blobs: BlobStore
) -> None:
    said: list[AnyReport] = []

    def stop_wanted() -> bool:
        return any(chunk.first_iteration >= 2 for chunk in of_type(BatchMetrics, said))

    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    job = coloured_job(blobs)
    train_version(job, 1, often, blobs, said.append, stop_wanted=stop_wanted)
    assert sorted(figures(said)) == list(range(ITERATIONS_PER_EPOCH))
    assert of_type(EpochMetrics, said) == of_type(EpochMetrics, uninterrupted())[:1]
    (completed,) = of_type(Completed, said)
    assert (completed.ended_by, completed.iterations) == ("stop", ITERATIONS_PER_EPOCH)
    assert completed.checkpoint == of_type(CheckpointSaved, said)[0].checkpoint
    assert blobs.list_scratch("resume/v1") == []


def test_a_run_resumed_between_epochs_that_is_to_stop_trains_no_more(
    settings: Settings, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it was killed as it evaluated the checkpoint."""
    monkeypatch.setattr("gpu_worker.resume._CHECKPOINT_SHARE", float("inf"))
    rarely = msgspec.structs.replace(settings, checkpoint_seconds=1_000.0)
    job, said = coloured_job(blobs), list[AnyReport]()

    def say(report: AnyReport) -> None:
        if isinstance(report, StepAdvanced) and report.step == "evaluating":
            raise Killed
        said.append(report)

    with pytest.raises(Killed):
        train_version(job, 1, rarely, blobs, say, stop_wanted=lambda: True)
    train_version(job, 2, rarely, blobs, said.append, stop_wanted=lambda: True)
    assert of_type(Started, said)[1].resumed_from == ITERATIONS_PER_EPOCH
    assert of_type(Completed, said)[0].iterations == ITERATIONS_PER_EPOCH


def test_a_training_that_has_come_to_its_full_length_was_not_stopped(
    settings: Settings, blobs: BlobStore
) -> None:
    said: list[AnyReport] = []
    job = coloured_job(blobs, epochs=1.0)
    train_version(job, 1, settings, blobs, said.append, stop_wanted=lambda: True)
    assert of_type(Completed, said)[0].ended_by == "length"


def test_a_checkpoint_waits_until_what_was_said_is_safe(
    settings: Settings, blobs: BlobStore
) -> None:
    """Else a resumed run would not repeat what the dead one said and nobody received."""
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    job = coloured_job(blobs, epochs=1.0)

    def never_safe() -> None:
        raise Killed

    with pytest.raises(Killed):
        train_version(job, 1, often, blobs, lambda _: None, never_safe)
    assert claim(job, 2, blobs) is None


def test_the_checkpoints_to_resume_from_are_gone_at_the_end(
    settings: Settings, blobs: BlobStore
) -> None:
    job = coloured_job(blobs, epochs=1.0)
    train_version(job, 1, settings, blobs, lambda _: None)
    assert blobs.list_scratch("resume/v1") == []


def test_a_superseded_delivery_stops_and_its_checkpoint_is_never_used(
    settings: Settings, blobs: BlobStore
) -> None:
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    job = coloured_job(blobs)
    said: list[AnyReport] = []

    def say(report: AnyReport) -> None:
        said.append(report)
        if isinstance(report, BatchMetrics) and report.first_iteration == 3:
            claim(job, 2, blobs)

    with pytest.raises(Superseded):
        train_version(job, 1, often, blobs, say)
    assert max(figures(said)) == 3
    resumed = claim(job, 3, blobs)
    assert resumed is not None
    assert resumed.iteration == 3


def test_a_torn_checkpoint_is_passed_over(settings: Settings, blobs: BlobStore) -> None:
    often = msgspec.structs.replace(settings, checkpoint_seconds=0.0)
    job = coloured_job(blobs)

    def say(report: AnyReport) -> None:
        if isinstance(report, BatchMetrics) and report.first_iteration == 4:
            raise Killed

    with pytest.raises(Killed):
        train_version(job, 1, often, blobs, say)
    whole = blobs.get_scratch("resume/v1/000001-000001")
    blobs.put_scratch("resume/v1/000001-000002", whole[: len(whole) // 2])
    resumed = claim(job, 3, blobs)
    assert resumed is not None
    assert resumed.iteration == 4


def test_images_beyond_the_cache_train_the_same(
    uninterrupted: Reference, settings: Settings, blobs: BlobStore
) -> None:
    tight = msgspec.structs.replace(settings, image_cache_bytes=20 * 3 * 32 * 32)
    said: list[AnyReport] = []
    train_version(coloured_job(blobs), 1, tight, blobs, said.append)
    assert final_weights(said) == final_weights(uninterrupted())


@pytest.mark.parametrize(
    "architecture", ["resnet18", "resnet50", "efficientnet_b0", "mobilenet_v3_small"]
)
def test_weights_begin_from_the_seed(architecture: str, blobs: BlobStore) -> None:
    options = coloured_job(blobs, architecture=architecture).options
    one, same = (build_network("classification", options, 3) for _ in range(2))
    other = build_network("classification", msgspec.structs.replace(options, seed=8), 3)
    pairs = zip(one.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    first = next(iter(one.parameters()))
    assert not torch.equal(first, next(iter(other.parameters())))


def test_a_loss_that_is_no_number_asks_for_a_lower_rate(
    settings: Settings, blobs: BlobStore
) -> None:
    said: list[AnyReport] = []
    job = coloured_job(blobs, optimizer="momentum", initial_learning_rate=1e8, epochs=6.0)
    with pytest.raises(Exception, match="finite") as caught:
        train_version(job, 1, settings, blobs, said.append)
    assert "lower the initial learning rate" in explain(caught.value)
    assert isinstance(said[-1], StepAdvanced)
    assert (said[-1].step, said[-1].status) == ("training", "failed")


def test_outputs_that_are_no_numbers_fail_with_the_first_epoch(
    settings: Settings, blobs: BlobStore
) -> None:
    """Batch normalisation keeps the losses of the batches finite while its averages overflow."""
    said: list[AnyReport] = []
    job = coloured_job(
        blobs,
        lines=coloured_lines(blobs)[4:],
        architecture="resnet18",
        optimizer="momentum",
        momentum=0.9,
        initial_learning_rate=10.0,
        epochs=3.0,
    )
    with pytest.raises(NonFinite, match=r"output .* on the validation images") as caught:
        train_version(job, 1, settings, blobs, said.append)
    assert "lower the initial learning rate" in explain(caught.value)
    assert figures(said)
    assert of_type(CheckpointSaved, said) == []


def test_a_damaged_blob_names_its_image(settings: Settings, blobs: BlobStore) -> None:
    job = coloured_job(blobs)
    blob = coloured_lines(blobs)[5].blob
    path = settings.data / "blobs" / "sha256" / blob[:2] / blob
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert "image-005" in reason(job, settings, blobs)
    path.unlink()
    said = f"image-005 cannot be used: its bytes, {blob}, are missing: the image was erased"
    assert said in reason(job, settings, blobs)


@pytest.mark.parametrize("cache_bytes", [1 << 20, 0])
def test_all_damaged_images_are_named_at_once(
    settings: Settings, blobs: BlobStore, cache_bytes: int
) -> None:
    lines = coloured_lines(blobs)
    for number in (5, 17, 36):
        cut = blobs.get(lines[number].blob)[:-40]
        lines[number] = msgspec.structs.replace(lines[number], blob=blobs.put(cut))
    own = msgspec.structs.replace(settings, image_cache_bytes=cache_bytes)
    said = reason(coloured_job(blobs, lines=lines), own, blobs)
    assert said.startswith("3 images cannot be used: image image-005: the image is damaged")
    assert all(f"image image-{number:03}: " in said for number in (17, 36))


@pytest.mark.parametrize("cache_bytes", [1 << 20, 0])
def test_a_training_under_way_goes_on_without_an_erased_image_only_from_memory(
    settings: Settings, blobs: BlobStore, cache_bytes: int
) -> None:
    said: list[AnyReport] = []

    def say(body: AnyReport) -> None:
        said.append(body)
        if isinstance(body, EpochMetrics):
            blobs.erase(coloured_lines(blobs)[5].blob)

    own = msgspec.structs.replace(settings, image_cache_bytes=cache_bytes)
    if cache_bytes:
        train_version(coloured_job(blobs), 1, own, blobs, say)
        assert isinstance(said[-1], Completed)
    else:
        with pytest.raises(ImageUnreadable, match=r"image-005 .* was erased"):
            train_version(coloured_job(blobs), 1, own, blobs, say)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_truncated_or_huge_image_names_itself(settings: Settings, blobs: BlobStore) -> None:
    lines = coloured_lines(blobs)
    whole = blobs.get(lines[3].blob)
    lines[3] = msgspec.structs.replace(lines[3], blob=blobs.put(whole[: len(whole) // 2]))
    assert "image-003" in reason(coloured_job(blobs, lines=lines), settings, blobs)
    file = io.BytesIO()
    Image.new("1", (2000, 2000)).save(file, "PNG")
    lines[3] = msgspec.structs.replace(lines[3], blob=blobs.put(file.getvalue()))
    small = msgspec.structs.replace(settings, max_image_pixels=3_999_999)
    told = reason(coloured_job(blobs, lines=lines), small, blobs)
    assert "image-003" in told
    assert "2000 by 2000" in told


def test_datasets_that_cannot_train_are_refused(settings: Settings, blobs: BlobStore) -> None:
    lines = coloured_lines(blobs)
    twice = [msgspec.structs.replace(lines[0], concepts=("red", "blue")), *lines[1:]]
    assert "image-000" in reason(coloured_job(blobs, lines=twice), settings, blobs)
    none = [line for line in lines if line.split == "train"]
    assert "no validation images" in reason(coloured_job(blobs, lines=none), settings, blobs)
    missing = msgspec.structs.replace(coloured_job(blobs), manifest="0" * 64)
    assert "manifest" in reason(missing, settings, blobs)
    assert put_manifest(blobs, lines) != missing.manifest


def test_what_this_worker_cannot_train_is_said(settings: Settings, blobs: BlobStore) -> None:
    assert "box" in reason(coloured_job(blobs, kind="detection"), settings, blobs)
    assert "segmentation" in reason(coloured_job(blobs, kind="segmentation"), settings, blobs)
    assert "alexnet" in reason(coloured_job(blobs, architecture="alexnet"), settings, blobs)
    assert "lion" in reason(coloured_job(blobs, optimizer="lion"), settings, blobs)
    gpu = msgspec.structs.replace(settings, device="quantum")
    assert "STEMMA_DEVICE" in reason(coloured_job(blobs), gpu, blobs)


def test_reasons_say_what_to_change() -> None:
    memory = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
    assert "smaller batch" in explain(memory)
    assert "smaller batch" in explain(torch.OutOfMemoryError("CUDA out of memory"))
    handle = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
    assert "smaller batch" in explain(handle)
    assert "disk is full" in explain(OSError(28, "No space left on device"))
    assert "no file descriptors left" in explain(OSError(24, "Too many open files"))
    assert "batch of 2" in explain(ValueError("Expected more than 1 value per channel"))
