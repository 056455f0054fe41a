"""Which reports of a job count: those of its newest delivery, by the worker that has it."""

from domain.errors import Conflict
from domain.training.messages import Report, Started


def is_superseded(report: Report, delivery: int, worker: str | None) -> bool:
    """Whether a report is of an earlier delivery than the one recorded, or a start of that one.

    `delivery` and `worker` are those of the log. Raises `Conflict` if another worker has the job
    according to it.
    """
    if isinstance(report.body, Started):
        if report.delivery > delivery and report.body.worker != report.worker:
            claimed = report.body.worker
            raise Conflict(f"worker {report.worker} cannot start as {claimed}")
        return report.delivery <= delivery
    if report.delivery == delivery and worker not in {None, report.worker}:
        raise Conflict(f"worker {worker} has the job, not {report.worker}")
    return report.delivery < delivery
