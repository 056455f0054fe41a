"""The process that runs torch: `python -m gpu_worker.child FD` runs one assignment."""

import gc
import logging
import os
import signal
import sys

from adapters.blobs.blobs import BlobStore
from adapters.observability import logs
from domain.training.messages import Failed
from gpu_worker.channel import DISK_FULL, SUPERSEDED, Assignment, Channel, decode_assignment

log = logging.getLogger(__name__)


def main() -> int:
    """Train, and report the end, also a failure. Returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    line = sys.stdin.buffer.readline()
    assignment = decode_assignment(line)
    logs.set_up("training", assignment.settings.log_format)
    channel = Channel(sys.stdin.buffer, int(sys.argv[1]))
    job = assignment.job
    with logs.about(job.correlation_id, version_id=job.version_id):
        return _run(assignment, line, channel)


def _run(assignment: Assignment, line: bytes, channel: Channel) -> int:
    # Imported here: torch takes seconds to import, in which the parent may already have died.
    # Without garbage collection, which would find nothing to free, it takes a sixth less.
    gc.disable()
    from gpu_worker.environment import choose_device
    from gpu_worker.failures import explain, is_disk_full
    from gpu_worker.group import joined, others, processes_of
    from gpu_worker.resume import Superseded
    from gpu_worker.train import train_version

    gc.freeze()
    gc.enable()
    try:
        settings = assignment.settings
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        size, device = processes_of(settings), choose_device(settings.device)
        with others(size, line), joined(0, size, device) as group:
            train_version(
                assignment.job,
                assignment.delivery,
                settings,
                blobs,
                channel.report,
                channel.flush,
                channel.stop_wanted.is_set,
                group,
            )
    except Superseded as superseded:
        log.warning("a later delivery continues the training: %s", superseded)
        return SUPERSEDED
    except Exception as error:
        if is_disk_full(error):
            log.error("the disk is full: %s", error)
            return DISK_FULL
        log.exception("the training failed")
        channel.report(Failed(reason=explain(error)))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: the interpreter would wait for the lock that the thread reading stdin holds.
    os._exit(status)
