"""Whether a reported result fits what the log has of its training."""

import math

from domain.training.messages import LENGTH, PATIENCE, STOP
from domain.training.results import VersionResultReported
from domain.training.version import Version


def problem_of(version: Version, reported: VersionResultReported) -> str | None:
    """Why a version cannot be ready with this result, in the user's words; None if it can."""
    problem = _problem_of(version, reported)
    if problem is None or not version.refused:
        return problem
    first = version.refused[0]
    return f"{problem}. The first report that was refused ({first.report}): {first.reason}"


def _problem_of(version: Version, reported: VersionResultReported) -> str | None:
    length, best, evaluated = version.length, version.best, version.evaluated
    if not version.delivery:
        return "its worker did not report the start"
    if version.frozen is None or length is None:
        return "its worker did not report how many iterations the training takes"
    if reported.ended_by not in {LENGTH, PATIENCE, STOP}:
        return f"it ended by {reported.ended_by!r}; it must be length, patience or stop"
    if reported.iterations > length.iterations or (
        reported.ended_by == LENGTH and reported.iterations != length.iterations
    ):
        return (
            f"its worker reports {reported.iterations} iterations at the end, and"
            f" {length.iterations} at the beginning"
        )
    if not reported.iterations or version.iterations_recorded != reported.iterations:
        return (
            f"{version.iterations_recorded} of {reported.iterations} iterations have a loss in the"
            " reports that were accepted"
        )
    epochs = math.ceil(reported.iterations / max(length.iterations_per_epoch, 1))
    if version.epochs_recorded != epochs:
        return (
            f"{version.epochs_recorded} of {epochs} epochs have metrics in the reports that were"
            " accepted"
        )
    if best is None or best.checkpoint != reported.checkpoint:
        return f"the checkpoint {reported.checkpoint} is not the one that it reported as the best"
    if evaluated is None or evaluated.checkpoint != reported.checkpoint:
        return f"its worker reported no predictions of the checkpoint {reported.checkpoint}"
    return None
