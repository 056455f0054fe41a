"""The bare training loop that `training` compares with, in a process of its own.

It has the same network, order of batches, optimizer, schedule and threads as the worker. Images are
in memory, decoded and normalised; nothing is reported, measured per iteration or saved. It prints a
line before the first iteration, one at the end of each epoch, its peak memory in MiB, and the
digest of the final weights.
"""

import hashlib
import sys

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.blobs.blobs import BlobStore
from benchmarks.memory import peak
from gpu_worker.channel import decode_assignment
from gpu_worker.checkpoint import weights
from gpu_worker.data import ImageSet, batches, epoch_order, in_order, prepare
from gpu_worker.environment import choose_device, set_up_torch
from gpu_worker.networks import build_network
from gpu_worker.recipe import build_optimizer, build_scheduler
from gpu_worker.stored_files import StoredFiles
from gpu_worker.tasks import Classification


def main() -> None:
    assignment = decode_assignment(sys.stdin.buffer.readline())
    job, settings = assignment.training, assignment.settings
    device = choose_device(settings.device)
    set_up_torch(device)
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    data = prepare(job, StoredFiles(blobs, job, 1), settings, lambda _: None)
    task = Classification(len(job.concepts))
    pixels, targets = _in_memory(task, data.train, device)
    held_out = _in_memory(task, data.validation, device)
    size = job.options.batch_size
    order = [
        torch.split(torch.from_numpy(epoch_order(len(pixels), job.options.seed, epoch)), size)
        for epoch in range(int(job.options.epochs or 0))
    ]
    model = build_network(job.kind, job.options, len(job.concepts))
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(job.options, model.parameters())
    scheduler = build_scheduler(job.options, optimizer, sum(len(epoch) for epoch in order))
    print("ready", flush=True)
    for epoch in order:
        model.train()
        for indices in epoch:
            loss = cross_entropy(model(pixels[indices]), targets[indices])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
        mean_loss, accuracy = _validate(model, *held_out, size)
        print(f"{mean_loss:.6f} {accuracy:.6f}", flush=True)
    print(peak(), flush=True)
    print(hashlib.sha256(weights(model)).hexdigest(), flush=True)


def _in_memory(
    task: Classification, images: ImageSet, device: torch.device
) -> tuple[Tensor, Tensor]:
    ((pixels, targets),) = batches(task, images, in_order(images, len(images)), device)
    return pixels.contiguous(memory_format=torch.channels_last), targets


@torch.inference_mode()
def _validate(model: nn.Module, pixels: Tensor, targets: Tensor, size: int) -> tuple[float, float]:
    model.eval()
    loss = torch.zeros((), dtype=torch.float64)
    correct = torch.zeros((), dtype=torch.int64)
    for batch, expected in zip(torch.split(pixels, size), torch.split(targets, size), strict=True):
        logits = model(batch)
        loss += cross_entropy(logits, expected, reduction="sum")
        correct += (logits.argmax(1) == expected).sum()
    return loss.item() / len(pixels), correct.item() / len(pixels)


if __name__ == "__main__":
    main()
