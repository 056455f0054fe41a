"""One training, from the job to the final weights: prepare, train, evaluate, save."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from adapters.evaluation.predictions import PredictionsFile, writing_predictions
from adapters.settings import Settings
from domain.training.messages import (
    LENGTH,
    PATIENCE,
    STOP,
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochMetrics,
    Evaluated,
    SplitFigures,
    Started,
    TrainJob,
)
from gpu_worker.backbone import FrozenBackbone
from gpu_worker.checkpoint import Best, Run, load_weights, thaw, weights
from gpu_worker.data import (
    Data,
    Draw,
    ImageSet,
    batches,
    epoch_draws,
    iterations_per_epoch,
    prepare,
)
from gpu_worker.decoded import temporary_folder
from gpu_worker.environment import choose_device, describe, set_up_torch
from gpu_worker.evaluate import Observer, evaluate
from gpu_worker.group import ALONE, Group
from gpu_worker.images import ImageUnreadable
from gpu_worker.job_files import JobFiles
from gpu_worker.networks import build_network, head_of, load_initial
from gpu_worker.new_concepts import NewConcepts
from gpu_worker.progress import MetricsBuffer, Reporter, Steps
from gpu_worker.recipe import (
    build_optimizer,
    build_scaler,
    build_scheduler,
    compute_narrow_inputs_in_float32,
    precision_of,
)
from gpu_worker.recording import ItemRecorder
from gpu_worker.resume import Checkpoints
from gpu_worker.tasks import task_for


def train_version(
    job: TrainJob,
    settings: Settings,
    files: JobFiles,
    report: Reporter,
    flush: Callable[[], None] = lambda: None,
    stop_wanted: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
) -> None:
    """Train a job in this process, from its last resumable checkpoint if there is one.

    Every report goes to `report`, in order; the last is `Completed`. `flush` returns once all
    reports are stored by their receiver, and is called before anything after which a resumed run
    would not repeat them. Once `stop_wanted` is true, training ends after the running epoch. In a
    group only the first process reports and saves. Raises the error of a failed training, and
    `Superseded` if a later delivery has begun.
    """
    device = choose_device(settings.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", group.rank)
    set_up_torch(device, group.size * settings.workers)
    state = files.claim() if group.first else b""
    frozen = group.agree(thaw(state) if state else None)
    report(
        Started(
            worker=settings.worker_name,
            device=device.type,
            environment=describe(device),
            resumed_from=0 if frozen is None else frozen.iteration,
        )
    )
    steps = Steps(report)
    data: Data | None = None
    try:
        steps.start("preparing")
        data = prepare(job, files, settings, steps.advance)
        steps.done()
        checkpoints = Checkpoints(files.save, flush, settings.checkpoint_seconds)
        training = _Training(job, files, data, device, steps, report, checkpoints, group)
        drawn = data.drawn_of([concept.concept_id for concept in job.concepts])
        report(DataPrepared(training.per_epoch, training.iterations, len(data.drawn), drawn))
        if frozen is None:
            training.load_initial_weights()
        else:
            frozen.restore(training.run)
        training.go(stop_wanted)
        if group.first:
            training.finish(settings)
    except Exception as error:
        steps.fail()
        if isinstance(error, ImageUnreadable) and data is not None:
            raise data.unreadable() from error
        raise
    if group.first:
        flush()
        files.forget()


class _Training:
    def __init__(
        self,
        job: TrainJob,
        files: JobFiles,
        data: Data,
        device: torch.device,
        steps: Steps,
        report: Reporter,
        checkpoints: Checkpoints,
        group: Group,
    ) -> None:
        self._job, self._options = job, job.options
        self._files, self._data, self._device = files, data, device
        self._steps, self._report = steps, report
        self._checkpoints, self._group = checkpoints, group
        options, concepts = job.options, len(job.concepts)
        self._task = task_for(job.kind, concepts)
        self._precision = precision_of(options, device)
        self.per_epoch = iterations_per_epoch(len(data.drawn), options.batch_size)
        self.iterations = options.iterations or max(
            1, round((options.epochs or 0) * self.per_epoch)
        )
        model = build_network(job.kind, options, concepts)
        if device.type == "cpu":
            compute_narrow_inputs_in_float32(model)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._head = head_of(job.kind, options, concepts)
        self._new_concepts = NewConcepts(
            model,
            job.kind,
            self._head,
            options,
            job.initial_weights,
            [concept.concept_id for concept in job.concepts],
        )
        optimizer = build_optimizer(options, self._new_concepts.parameter_groups())
        scheduler = build_scheduler(options, optimizer, self.iterations)
        self.run = Run(model, optimizer, scheduler, build_scaler(options, device))
        self._ended_by = LENGTH
        self._recorder: ItemRecorder | None = None
        if options.recorded_images and group.first:
            self._recorder = ItemRecorder(
                job, data, self._task, device, self._precision, files, report
            )
        self._backbone = FrozenBackbone(
            model,
            job.kind,
            self._head,
            round(options.freeze_backbone_epochs * self.per_epoch),
            freezes=options.freeze_backbone_epochs > 0,
        )

    def load_initial_weights(self) -> None:
        """Start from the job's weights, if it names some."""
        initial = self._job.initial_weights
        if initial is not None:
            concepts = [concept.concept_id for concept in self._job.concepts]
            data = self._files.file(initial.blob)
            load_initial(self._job.kind, self.run.model, self._head, data, initial, concepts)

    def go(self, stop_wanted: Callable[[], bool]) -> None:
        """Train from where the run stands to its end, validating after each epoch."""
        run = self.run
        self._steps.start("training", run.iteration / self.iterations)
        self._metrics_buffer = MetricsBuffer(self._report, run.iteration)
        if self._group.size > 1:
            # Each process has its own dropout.
            torch.manual_seed(hash((self._options.seed, run.iteration, self._group.rank)))
        self._learner = self._group.wrap(run.model, self._device)
        while run.iteration < self.iterations and not self._ends_early(stop_wanted):
            epoch = run.iteration // self.per_epoch
            self._train_epoch(epoch)
            if not self._group.first:
                continue
            self._validate(epoch + 1)
            if self._checkpoints.costs_little():
                self._checkpoints.save(run, self._metrics_buffer)
        self._steps.done()

    def _ends_early(self, stop_wanted: Callable[[], bool]) -> bool:
        """Whether training ends early here, between two epochs."""
        epoch, within = divmod(self.run.iteration, self.per_epoch)
        best = self.run.best
        if best is not None and not within:
            if 0 < self._options.patience <= epoch - best.epoch:
                self._ended_by = PATIENCE
            elif stop_wanted():
                self._ended_by = STOP
        self._ended_by = self._group.agree(self._ended_by)
        return self._ended_by != LENGTH

    def _train_epoch(self, epoch: int) -> None:
        """Train the remaining iterations of the epoch."""
        run, buffer, size = self.run, self._metrics_buffer, self._options.batch_size
        start = epoch * self.per_epoch
        end = min(start + self.per_epoch, self.iterations)
        draws = epoch_draws(self._data.drawn, self._options.seed, epoch)
        chunks = [
            draws[number * size : (number + 1) * size]
            for number in range(run.iteration - start, end - start)
        ]
        parts = _pairs([self._group.part(chunk) for chunk in chunks])
        self._set_mode()
        for chunk, batch in zip(
            chunks, batches(self._task, self._data.train, parts, self._device), strict=True
        ):
            with self._precision():
                loss = self._task.loss(self._learner, batch.images, batch.targets)
            if self._group.size > 1:
                loss = loss * self._group.share_of(chunk)
            self._step(loss)
            buffer.add(run.optimizer.param_groups[0]["lr"], self._group.mean(loss))
            run.scheduler.step()
            run.iteration += 1
            if run.iteration == self._backbone.until:
                self._set_mode()
            if buffer.due():
                self._flush()
            # After an epoch's last iteration validation follows, which no mid-epoch state includes.
            if run.iteration < end and self._group.first and self._checkpoints.interval_is_over():
                self._checkpoints.save(run, buffer)
        self._flush()

    def _step(self, loss: Tensor) -> None:
        run = self.run
        run.optimizer.zero_grad()
        run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._backbone.drop_gradients()
        if self._options.gradient_clip_norm:
            run.scaler.unscale_(run.optimizer)
            clip_grad_norm_(run.model.parameters(), self._options.gradient_clip_norm)
        with self._new_concepts.stepping():
            run.scaler.step(run.optimizer)
        run.scaler.update()

    def _set_mode(self) -> None:
        self._backbone.set_mode(self._learner, self.run.iteration, self._group.size)

    def _flush(self) -> None:
        self._metrics_buffer.flush()
        self._steps.advance(self.run.iteration / self.iterations)

    def _validate(self, epoch: int) -> None:
        run = self.run
        recorder = self._recorder
        observe = None if recorder is None else recorder.start()
        metrics = self._evaluate(self._data.validation, observe=observe)
        loss = metrics.loss
        assert loss is not None
        self._report(
            EpochMetrics(
                epoch, run.iteration, loss, metrics.accuracy, metrics.mean_average_precision
            )
        )
        value = self._task.value(metrics)
        if run.best is None or run.best.is_beaten_by(value, loss):
            data = weights(run.model)
            run.best = Best(self._files.put("checkpoint", data), value, epoch, loss)
            self._report_best(run.best, len(data))
        if recorder is not None:
            recorder.record(run.model, epoch, run.iteration)

    def _report_best(self, best: Best, size: int) -> None:
        self._report(
            CheckpointSaved(
                best.checkpoint,
                size,
                self._task.best,
                best.value,
                best.epoch,
                best.loss if math.isfinite(best.loss) else None,
            )
        )

    def _evaluate(
        self,
        images: ImageSet,
        predictions: PredictionsFile | None = None,
        observe: Observer | None = None,
    ) -> SplitFigures:
        return evaluate(
            self._task,
            self.run.model,
            images,
            self._options.batch_size,
            self._device,
            self._precision,
            predictions,
            observe,
        )

    def finish(self, settings: Settings) -> None:
        """Evaluate the best checkpoint, as stored, on every image; report the end.

        The best checkpoint is reported again, since an earlier run may have reported another one.
        Raises `Superseded` if a later delivery has begun.
        """
        run, best = self.run, self.run.best
        assert best is not None
        self._steps.start("evaluating")
        final_weights = hashlib.sha256(weights(run.model)).hexdigest()
        data = self._files.file(best.checkpoint)
        self._report_best(best, len(data))
        load_weights(run.model, data)
        with temporary_folder(settings) as folder:
            path = Path(folder) / "predictions.parquet"
            with writing_predictions(path, self._job.kind, self._job.concepts) as file:
                validation = self._evaluate(self._data.validation, file)
                self._steps.advance(0.5)
                train = self._evaluate(self._data.train, file)
            predictions = self._files.put("predictions", path)
        self._report(Evaluated(best.checkpoint, validation, train, predictions))
        self._steps.done()
        self._steps.start("saving")
        self._files.check()
        self._steps.done()
        self._report(Completed(best.checkpoint, final_weights, run.iteration, self._ended_by))


def _pairs(chunks: list[list[Draw]]) -> list[list[Draw]]:
    """Batch normalisation cannot train on one image: a batch of one shows it twice."""
    return [chunk * 2 if len(chunk) == 1 else chunk for chunk in chunks]
