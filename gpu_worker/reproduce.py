"""`python -m gpu_worker.reproduce ITERATIONS`: trains a job from stdin again.

It trains for that many iterations from nothing, under a name of its own, and leaves no checkpoints
to resume from. Reports go to stdout.
"""

import os
import sys
import uuid

import msgspec

from adapters.blobs.blobs import BlobStore
from domain.training.messages import (
    AnyReport,
    Completed,
    EpochMetrics,
    Failed,
    Started,
    StepAdvanced,
)
from gpu_worker.channel import decode_assignment, encode_line
from gpu_worker.failures import explain
from gpu_worker.stored_files import StoredFiles
from gpu_worker.train import train_version

_REPORTED = (Started, StepAdvanced, EpochMetrics, Completed)


def main(iterations: int) -> int:
    """Write reports of the start, progress, epochs and end, as lines of JSON."""
    done = 0
    assignment = decode_assignment(sys.stdin.buffer.readline())
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def write(report: AnyReport) -> None:
        nonlocal done
        if isinstance(report, EpochMetrics):
            done = report.iteration
        if isinstance(report, _REPORTED):
            reports.write(encode_line(report))
            reports.flush()

    settings = assignment.settings
    job = msgspec.structs.replace(assignment.training, version_id=f"reproduce-{uuid.uuid4()}")
    try:
        files = StoredFiles(BlobStore.from_url(settings.require("blobs_url")), job, 1)
        try:
            train_version(job, settings, files, write, stop_wanted=lambda: done >= iterations)
        finally:
            files.forget()
    except Exception as error:
        reports.write(encode_line(Failed(reason=explain(error))))
        reports.flush()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
