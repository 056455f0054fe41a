"""The process of `loading`: it measures each assignment's data loading, then its
model."""

import sys
import time

import msgspec
import torch

from adapters.blobs.blobs import BlobStore
from benchmarks.training.loading import Alone
from gpu_worker.channel import Assignment, decode_assignment
from gpu_worker.data import Batch, batches, epoch_draws, prepare
from gpu_worker.environment import choose_device, set_up_torch
from gpu_worker.networks import build_network
from gpu_worker.stored_files import StoredFiles
from gpu_worker.tasks import task_for

MODEL_BATCHES = 3


def main() -> None:
    for line in sys.stdin.buffer:
        result = _measure(decode_assignment(line))
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


def _measure(assignment: Assignment) -> Alone:
    job, settings = assignment.training, assignment.settings
    device = choose_device(settings.device)
    set_up_torch(device)
    files = StoredFiles(BlobStore.from_url(settings.require("blobs_url")), job, 1)
    data = prepare(job, files, settings, lambda _: None)
    task, size = task_for(job.kind, len(job.concepts)), job.options.batch_size
    draws = epoch_draws(data.drawn, job.options.seed, 0)
    chunks = [draws[start : start + size] for start in range(0, len(draws), size)]
    model = build_network(job.kind, job.options, len(job.concepts))
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()

    started = time.monotonic()
    kept: list[Batch] = []
    for batch in batches(task, data.train, chunks, device):
        kept = [*kept, batch][:MODEL_BATCHES]
    drawn = len(draws) / (time.monotonic() - started)

    task.loss(model, kept[0].images, kept[0].targets).backward()  # type: ignore[no-untyped-call]
    started = time.monotonic()
    for batch in kept:
        model.zero_grad()
        loss = task.loss(model, batch.images, batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
    trained = sum(len(batch.images) for batch in kept) / (time.monotonic() - started)
    return Alone(drawn, trained)


if __name__ == "__main__":
    main()
