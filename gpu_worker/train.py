"""One training, from the job to the final weights: prepare, train, evaluate, save."""

import hashlib
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from adapters.blobs import BlobStore
from adapters.settings import Settings
from domain.messages import (
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochMetrics,
    Evaluated,
    Started,
    TrainJob,
)
from gpu_worker.checkpoint import Best, Run, freeze, load_weights, weights
from gpu_worker.data import Data, batches, epoch_order, iterations_per_epoch, prepare
from gpu_worker.environment import choose_device, describe, set_up_torch
from gpu_worker.evaluate import evaluate
from gpu_worker.progress import Meter, Say, Steps
from gpu_worker.recipe import build_model, build_optimizer, build_scheduler
from gpu_worker.resume import ResumePoint

# At an epoch's end a resumable checkpoint may cost this share of the time since the last one.
_CHECKPOINT_SHARE = 0.01
# Seconds that one is taken to cost until the first has been written.
_CHECKPOINT_COST = 0.3


class UnsupportedKind(Exception):
    """The view's kind is not one that this worker trains."""


def train_version(
    job: TrainJob,
    delivery: int,
    settings: Settings,
    blobs: BlobStore,
    say: Say,
    settle: Callable[[], None] = lambda: None,
) -> None:
    """Carry a job out in this process, going on from its last resumable checkpoint if it has one.

    Every report goes to `say`, in order; the last is `Completed`. `settle` returns once all that
    was said is safe with its receiver, and is called before anything that lets a resumed run
    leave it unsaid. Raises what went wrong, and `Superseded` if a later delivery has begun.
    """
    device = choose_device(settings.device)
    set_up_torch(device)
    resume = ResumePoint(blobs, job, delivery)
    frozen = resume.claim()
    say(
        Started(
            worker=settings.worker_name,
            device=device.type,
            environment=describe(device),
            resumed_from=0 if frozen is None else frozen.iteration,
        )
    )
    steps = Steps(say)
    try:
        if job.kind != "classification":
            raise UnsupportedKind(f"this worker cannot train {job.kind!r}, only classification")
        steps.start("preparing")
        data = prepare(job, blobs, settings, steps.advance)
        steps.done()
        training = _Training(job, settings, blobs, data, device, steps, say, settle, resume)
        say(DataPrepared(training.per_epoch, training.iterations))
        if frozen is not None:
            frozen.restore(training.run)
        training.go()
        training.finish()
    except Exception:
        steps.fail()
        raise
    settle()
    resume.forget()


class _Training:
    def __init__(
        self,
        job: TrainJob,
        settings: Settings,
        blobs: BlobStore,
        data: Data,
        device: torch.device,
        steps: Steps,
        say: Say,
        settle: Callable[[], None],
        resume: ResumePoint,
    ) -> None:
        self._options = job.options
        self._checkpoint_seconds = settings.checkpoint_seconds
        self._blobs, self._data, self._device = blobs, data, device
        self._steps, self._say, self._settle, self._resume = steps, say, settle, resume
        self.per_epoch = iterations_per_epoch(len(data.train), job.options.batch_size)
        self.iterations = max(1, round(job.options.epochs * self.per_epoch))
        model = build_model(job.options, len(job.concepts))
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(job.options, model)
        scheduler = build_scheduler(job.options, optimizer, self.iterations)
        self.run = Run(model, optimizer, scheduler)
        self._checkpointed_at, self._checkpoint_cost = time.monotonic(), _CHECKPOINT_COST

    def go(self) -> None:
        """Train from where the run stands to the last iteration, validating after each epoch."""
        run = self.run
        self._steps.start("training", run.iteration / self.iterations)
        self._meter = Meter(self._say, run.iteration)
        while run.iteration < self.iterations:
            epoch = run.iteration // self.per_epoch
            self._train_epoch(epoch)
            self._validate(epoch + 1)
            elapsed = time.monotonic() - self._checkpointed_at
            if self._checkpoint_cost <= elapsed * _CHECKPOINT_SHARE:
                self._checkpoint()
        self._steps.done()

    def _train_epoch(self, epoch: int) -> None:
        """The epoch's iterations that are still to do."""
        run, meter, size = self.run, self._meter, self._options.batch_size
        start = epoch * self.per_epoch
        end = min(start + self.per_epoch, self.iterations)
        order = epoch_order(len(self._data.train), self._options.seed, epoch)
        chunks = [
            order[number * size : (number + 1) * size]
            for number in range(run.iteration - start, end - start)
        ]
        run.model.train()
        for pixels, targets in batches(self._data.train, chunks, self._device):
            loss = cross_entropy(run.model(pixels), targets)
            run.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            run.optimizer.step()
            meter.add(run.optimizer.param_groups[0]["lr"], loss)
            run.scheduler.step()
            run.iteration += 1
            if meter.due():
                self._flush()
            # After an epoch's last iteration comes validation, which no mid-epoch state remembers.
            if run.iteration < end and self._interval_is_over():
                self._checkpoint()
        self._flush()

    def _flush(self) -> None:
        self._meter.flush()
        self._steps.advance(self.run.iteration / self.iterations)

    def _interval_is_over(self) -> bool:
        return time.monotonic() - self._checkpointed_at >= self._checkpoint_seconds

    def _checkpoint(self) -> None:
        """What was reported must be safe first: a run resumed from here will not say it again."""
        started = time.monotonic()
        self._meter.flush()
        data = freeze(self.run)
        self._settle()
        self._resume.save(data)
        self._checkpointed_at = time.monotonic()
        self._checkpoint_cost = self._checkpointed_at - started

    def _validate(self, epoch: int) -> None:
        run = self.run
        figures = evaluate(run.model, self._data.validation, self._options.batch_size, self._device)
        self._say(EpochMetrics(epoch, run.iteration, figures.loss, figures.accuracy))
        if run.best is None or figures.accuracy > run.best.accuracy:
            data = weights(run.model)
            run.best = Best(self._blobs.put(data), figures.accuracy, epoch)
            self._blobs.flush()
            self._say(
                CheckpointSaved(
                    checkpoint=run.best.checkpoint,
                    bytes=len(data),
                    metric="validation_accuracy",
                    value=figures.accuracy,
                    epoch=epoch,
                )
            )

    def finish(self) -> None:
        """Check the best checkpoint as it lies in the store, and report the end."""
        model, best, images = self.run.model, self.run.best, self._data.validation
        assert best is not None
        self._steps.start("evaluating")
        final_weights = hashlib.sha256(weights(model)).hexdigest()
        load_weights(model, self._blobs.get(best.checkpoint))
        figures = evaluate(model, images, self._options.batch_size, self._device)
        self._say(Evaluated(best.checkpoint, figures.loss, figures.accuracy, len(images)))
        self._steps.done()
        self._steps.start("saving")
        self._resume.check()
        self._steps.done()
        self._say(Completed(best.checkpoint, final_weights, self.iterations))
