"""The process that runs torch: `run` carries out one assignment."""

import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from adapters.observability import logs
from domain.trainers.trainer import ONNX
from domain.training.jobs import OnnxJob, PredictJob
from domain.training.messages import Failed
from gpu_worker.channel import (
    AWAY,
    DISK_FULL,
    ENDED,
    NOT_SERVED,
    SUPERSEDED,
    Assignment,
    Channel,
    decode_assignment,
    encode_line,
)

TITLE = "stemma-training"
"""The name of the process in `ps` and `top`, which show at most 15 characters."""

log = logging.getLogger(__name__)


def run(orders: Connection, reports: Connection, environment: Mapping[str, str]) -> None:
    """Train or predict, and report the end, also a failure. It ends the process.

    The environment is the parent's; that of the process which forks may be older.
    """
    os.environ.update(environment)
    if sys.platform == "linux":
        Path("/proc/self/comm").write_text(TITLE, encoding="utf-8")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines = os.fdopen(os.dup(orders.fileno()), "rb")
    assignment = decode_assignment(lines.readline())
    logs.set_up("training", assignment.settings.log_format)
    channel = Channel(lines, os.dup(reports.fileno()))
    job = assignment.job
    with logs.about(job.correlation_id, version_id=job.version_id):
        status = _carry_out(assignment, channel)
    sys.stderr.flush()
    # Not sys.exit: the interpreter would wait for the lock that the thread reading orders holds.
    os._exit(status)


def _carry_out(assignment: Assignment, channel: Channel) -> int:
    # Imported here, since the parent imports this module, and torch takes seconds.
    from gpu_worker.environment import choose_device
    from gpu_worker.failures import explain, is_disk_full
    from gpu_worker.group import joined, others, processes_of
    from gpu_worker.predictions import predict_images
    from gpu_worker.progress import NonFinite
    from gpu_worker.served_files import ServedFiles
    from gpu_worker.train import train_version
    from stemma_trainer.store import ServerAway, Superseded, TrainingEnded

    # What the imports made is never collected; to look at it again and again is for nothing.
    gc.freeze()
    try:
        settings, job = assignment.settings, assignment.job
        files = ServedFiles(job, assignment.delivery, settings)
        if isinstance(job, OnnxJob):
            from gpu_worker.onnx_file import make_onnx

            make_onnx(job, settings, files, channel.report, channel.flush)
            return 0
        if isinstance(job, PredictJob) and job.format == ONNX:
            from gpu_worker.onnx_predictions import predict_by_onnx

            predict_by_onnx(job, settings, files, channel.report, channel.flush)
            return 0
        if isinstance(job, PredictJob):
            predict_images(job, settings, files, channel.report, channel.flush)
            return 0
        size, device = processes_of(settings), choose_device(settings.device)
        with others(size, encode_line(assignment)), joined(0, size, device) as group:
            train_version(
                job,
                settings,
                files,
                channel.report,
                channel.flush,
                channel.stop_wanted.is_set,
                group,
            )
    except Superseded as superseded:
        log.warning("a later delivery continues the training: %s", superseded)
        return SUPERSEDED
    except TrainingEnded:
        return ENDED
    except ServerAway as away:
        log.error("%s", away)
        return NOT_SERVED if away.reached else AWAY
    except Exception as error:
        if is_disk_full(error):
            log.error("the disk is full: %s", error)
            return DISK_FULL
        predicts = isinstance(assignment.job, PredictJob | OnnxJob)
        log.exception("the %s failed", "prediction" if predicts else "training")
        reason = explain(error, predicts=predicts)
        channel.report(Failed(reason, isinstance(error, NonFinite)))
    return 0
