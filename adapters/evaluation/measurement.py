"""Requests to the process that measures predictions, and its answers.

This module loads nothing that measures: the service that asks needs none of it.
"""

import msgspec

from domain.dataset.image import TEST, TRAIN, VALIDATION
from domain.training.messages import ConceptLabel, Purpose, SplitFigures

SPLITS = {Purpose.TRAINING: (VALIDATION, TRAIN), Purpose.TEST: (TEST,), Purpose.SUGGESTIONS: ()}
"""The splits that are measured; nobody knows what is true of images that get suggestions."""


class MeasureRequest(msgspec.Struct, frozen=True):
    """`predictions` and `manifest` are the sha256 of blobs, `kind` is the view's, and `purpose` is
    what the images were predicted for."""

    blobs_url: str
    predictions: str
    manifest: str
    kind: str
    concepts: tuple[ConceptLabel, ...]
    purpose: Purpose = Purpose.TRAINING


class Measured(msgspec.Struct, frozen=True):
    """The sha256 of the joined file, and the metrics by the purpose's splits.

    `exact_loss` is whether the scores hold enough digits for the loss.
    """

    predictions: str
    metrics: dict[str, SplitFigures]
    exact_loss: bool


class MeasureAnswer(msgspec.Struct, frozen=True):
    """What was measured, or the problem because of which nothing was."""

    measured: Measured | None = None
    problem: str = ""
