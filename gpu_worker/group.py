"""Several processes that train one version together, each with a GPU of its own.

The first one validates, saves and reports. Each takes its part of every batch, and
their gradients are averaged (torch's DistributedDataParallel), so that a step is that of the whole
batch. They are started as torchrun would start them: by MASTER_ADDR, RANK and WORLD_SIZE.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from adapters.settings import Settings

_PATIENCE = timedelta(days=1)
"""The others wait while the first validates."""

Item = TypeVar("Item")


class Group:
    """The rank of this process among those that train together; a single one has no overhead."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model whose gradients are those of the whole batch. All of its parameters get one."""
        if self.size == 1:
            return model
        return DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None
        )

    def part(self, batch: Sequence[Item]) -> list[Item]:
        """This process's images of a batch; never none."""
        mine = list(batch[self.rank :: self.size])
        return mine or [batch[0]]

    def share_of(self, batch: Sequence[Item]) -> float:
        """What the mean loss of the part is multiplied by, so that gradients add up to the
        batch's."""
        mine = len(batch[self.rank :: self.size])
        return mine * self.size / len(batch)

    def mean(self, loss: Tensor) -> Tensor:
        """The mean over the processes."""
        if self.size > 1:
            loss = loss.detach().clone()
            distributed.all_reduce(loss)
            loss /= self.size
        return loss

    def agree(self, value: Any) -> Any:
        """The value of the first process, in all processes."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


ALONE = Group()


def processes_of(settings: Settings) -> int:
    """How many processes train: one per GPU, unless the settings say otherwise."""
    if settings.processes:
        return settings.processes
    on_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return max(1, torch.cuda.device_count()) if on_gpu else 1


@contextmanager
def joined(rank: int, size: int, device: torch.device) -> Iterator[Group]:
    """Join the process group at the address in the environment."""
    if size == 1:
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=size, timeout=_PATIENCE
    )
    try:
        yield Group(rank, size)
    finally:
        distributed.destroy_process_group()


@contextmanager
def others(size: int, assignment: bytes) -> Iterator[None]:
    """Start all processes except this first one; none of them outlives it."""
    if size == 1:
        yield
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    started = []
    try:
        for rank in range(1, size):
            process = subprocess.Popen(
                [sys.executable, "-m", "gpu_worker.rank"],
                stdin=subprocess.PIPE,
                env=os.environ | {"RANK": str(rank)},
            )
            started.append(process)
            assert process.stdin is not None
            # The pipe stays open: the process ends when it closes.
            process.stdin.write(assignment)
            process.stdin.flush()
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
