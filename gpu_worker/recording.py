"""The recording of an epoch's items: measure the sample, store its file, report it."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from adapters.flip_book.files import SampledImages, file_of
from domain.library.view import TAGGING
from domain.training.messages import EpochItems, TrainJob
from gpu_worker.data import Data, Draw, ImageSet, batches
from gpu_worker.evaluate import Observer
from gpu_worker.job_files import JobFiles
from gpu_worker.measuring import Measured, measured_by
from gpu_worker.progress import Reporter
from gpu_worker.sample import sample_of
from gpu_worker.tasks import Task

_LEAST_BATCH = 128
"""Without gradients a larger batch is faster, and takes no more memory than one that trains."""


class ItemRecorder:
    """Measures and stores the items of a training's sample, epoch by epoch."""

    def __init__(
        self,
        job: TrainJob,
        data: Data,
        task: Task,
        device: torch.device,
        precision: Callable[[], AbstractContextManager[object]],
        files: JobFiles,
        report: Reporter,
    ) -> None:
        self._job, self._data, self._task = job, data, task
        self._device, self._precision = device, precision
        self._files, self._report = files, report
        self._sample = sample_of(job, data)
        train, validation = self._sample
        lines = [data.train.lines[index] for index in train.tolist()]
        lines += [data.validation.lines[index] for index in validation.tolist()]
        self._images = SampledImages([line.image for line in lines], [line.split for line in lines])
        self._validation = self._empty()

    def start(self) -> Observer | None:
        """What takes in the outputs of the validation, batch by batch, in order; None if no
        validation image is recorded."""
        self._validation = self._empty()
        if not len(self._sample.validation):
            return None

        def observe(draws: Sequence[Draw], outputs: Any, targets: Any) -> None:
            self._validation.add(outputs, targets, _sizes(self._data.validation, draws))

        return observe

    def record(self, model: nn.Module, epoch: int, iteration: int) -> None:
        """Measure the training images, and store and report all of an epoch that was validated."""
        started = time.monotonic()
        measured = self._measure_training(model)
        own = measured.columns(np.arange(len(self._sample.train)))
        validation = self._validation.columns(self._sample.validation)
        columns = {name: _joined(own[name], validation[name]) for name in own}
        job = self._job
        content = file_of(job.kind, job.concepts, epoch, self._images, columns)
        items = self._files.put("items", content)
        images = len(self._images.ids)
        seconds = time.monotonic() - started
        self._report(
            EpochItems(epoch, iteration, items, images, self._rows(columns), round(seconds, 3))
        )

    def _rows(self, columns: dict[str, Any]) -> int:
        truth = columns.get("truth")
        if truth is None or self._job.kind == TAGGING:
            return len(columns["concept"])
        return sum(map(len, truth))

    @torch.inference_mode()
    def _measure_training(self, model: nn.Module) -> Measured:
        measured, images = self._empty(), self._data.train
        size = max(self._job.options.batch_size, _LEAST_BATCH)
        draws = [Draw(index, None) for index in self._sample.train.tolist()]
        chunks = [draws[start : start + size] for start in range(0, len(draws), size)]
        if not chunks:
            return measured
        model.eval()
        for chunk, batch in zip(
            chunks, batches(self._task, images, chunks, self._device), strict=True
        ):
            with self._precision():
                outputs = self._task.outputs(model, batch.images)
            measured.add(outputs, batch.targets, _sizes(images, chunk))
        return measured

    def _empty(self) -> Measured:
        return measured_by(self._job.kind, len(self._job.concepts))


def _sizes(images: ImageSet, draws: Sequence[Draw]) -> list[tuple[int, int]]:
    return [images.size_of(draw.image) for draw in draws]


def _joined(first: Any, second: Any) -> Any:
    return first + second if isinstance(first, list) else np.concatenate([first, second])
