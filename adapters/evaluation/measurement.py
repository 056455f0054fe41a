"""Requests to the process that measures predictions, and its answers.

This module loads nothing that measures: the service that asks needs none of it.
"""

import msgspec

from domain.training.messages import ConceptLabel, SplitFigures


class MeasureRequest(msgspec.Struct, frozen=True):
    """`predictions` and `manifest` are the sha256 of blobs, `kind` is the view's."""

    blobs_url: str
    predictions: str
    manifest: str
    kind: str
    concepts: tuple[ConceptLabel, ...]


class Measured(msgspec.Struct, frozen=True):
    """The sha256 of the joined file, and the metrics of both splits.

    `exact_loss` is whether the scores hold enough digits for the loss.
    """

    predictions: str
    validation: SplitFigures
    train: SplitFigures
    exact_loss: bool


class MeasureAnswer(msgspec.Struct, frozen=True):
    """What was measured, or the problem because of which nothing was."""

    measured: Measured | None = None
    problem: str = ""
