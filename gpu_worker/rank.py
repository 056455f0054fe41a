"""`python -m gpu_worker.rank`: one of the processes that train with a worker's child.

Its rank and the group's address are in the environment; its assignment is the first line of stdin.
"""

import os
import sys
import threading

from adapters.observability import logs
from gpu_worker.channel import decode_assignment
from gpu_worker.environment import choose_device
from gpu_worker.group import joined
from gpu_worker.served_files import ServedFiles
from gpu_worker.train import train_version


def _end_with_the_first() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Train with the others; the first process reports."""
    assignment = decode_assignment(sys.stdin.buffer.readline())
    logs.set_up("training", assignment.settings.log_format)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    settings = assignment.settings
    job = assignment.training
    files = ServedFiles(job, assignment.delivery, settings)
    device = choose_device(settings.device)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    with joined(rank, size, device) as group:
        train_version(job, settings, files, lambda _: None, group=group)


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)
