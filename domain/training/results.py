"""Results of trainings: what a worker claims, what the server found of it, and reports that are
refused.

A worker that reports the end of a training has made claims. The server then checks them, measures
the predictions itself, and decides whether the version is ready.
"""

import msgspec

from domain.event import Event
from domain.training.messages import SplitFigures

MOST_REFUSED = 20
"""Refused reports of one attempt that are recorded; a broken worker may send any number."""


class VersionReportRefused(Event, frozen=True, tag="version.report_refused"):
    """A report of the worker that has the job was refused, and recorded nothing.

    `report` is the report's tag, empty if it cannot be read. `sequence` is its number among those
    of its delivery. The first refused reports of an attempt are recorded, no others.
    """

    attempt: int
    delivery: int
    sequence: int
    report: str
    reason: str


class VersionResultReported(Event, frozen=True, tag="version.result_reported"):
    """The worker says that the training ended well; the server checks it next.

    `checkpoint` is the sha256 of the saved weights, `final_weights` that of the last iteration's.
    `ended_by` says what ended it: its `length`, its `patience`, or the request to `stop` early.
    """

    attempt: int
    delivery: int
    checkpoint: str
    final_weights: str
    iterations: int
    ended_by: str


class MetricDifference(msgspec.Struct, frozen=True):
    """A metric of a split that the worker reported and the server measured differently.

    None stands for a metric that one of them does not have.
    """

    split: str
    metric: str
    reported: float | None
    measured: float | None


class VersionResultMeasured(Event, frozen=True, tag="version.result_measured"):
    """The server measured the predictions that the worker stored, against the frozen manifest.

    `predictions` is the sha256 of a Parquet file, by which it lies in the blob store: the worker's
    scores beside the truth of the manifest. `differences` are the metrics that the worker reported
    otherwise. The loss of a detection cannot be computed from its predictions: it is the worker's.
    """

    attempt: int
    checkpoint: str
    predictions: str
    validation: SplitFigures
    train: SplitFigures
    differences: tuple[MetricDifference, ...]


class AcceptResult(msgspec.Struct, frozen=True):
    """The result of this attempt is what the server measured."""

    attempt: int
    predictions: str
    validation: SplitFigures
    train: SplitFigures
    differences: tuple[MetricDifference, ...]


class RefuseResult(msgspec.Struct, frozen=True):
    """The result of this attempt cannot be what the worker claims."""

    attempt: int
    reason: str


_LOOSE = {"loss": 1e-3, "calibration_error": 1e-4}
_TIGHT = 1e-5
_DETECTION = 2e-3
"""Boxes are stored as 32-bit shares of the sides: IoU may fall on the other side of a limit."""


def differences(
    split: str, reported: SplitFigures | None, measured: SplitFigures, *, detection: bool
) -> list[MetricDifference]:
    """The metrics of a split in which a worker and the server differ by more than rounding."""
    found = []
    for metric in SplitFigures.__struct_fields__:
        theirs = None if reported is None else getattr(reported, metric)
        ours = getattr(measured, metric)
        if theirs is None and metric != "images":
            continue  # a trainer need not measure what the server measures
        limit = 0 if metric == "images" else _LOOSE.get(metric, _TIGHT)
        if detection and metric != "images":
            limit = _DETECTION
        scale = max(1.0, abs(ours or 0.0)) if metric == "loss" else 1.0
        if ours is None or theirs is None or abs(ours - theirs) > limit * scale:
            found.append(MetricDifference(split, metric, theirs, ours))
    return found
