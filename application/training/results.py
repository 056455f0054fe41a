"""The policy that checks the results of trainings, before their versions are ready, and those of
predictions that trainers' versions make.

A reaction may be repeated: measuring comes to the same, and a result is decided on once.
"""

from typing import Protocol

import msgspec

from application.handle import Request, handle
from application.log.store import Store
from application.training.policies import version_of
from domain.aggregates import VERSION
from domain.event import Recorded, name_of
from domain.training.messages import SplitFigures
from domain.training.predictions import (
    AcceptPredictions,
    RefusePredictions,
    VersionPredictionsReported,
    predictions_in_check,
)
from domain.training.result_checks import problem_of
from domain.training.results import AcceptResult, RefuseResult, VersionResultReported
from domain.training.version import (
    Command,
    DatasetFrozen,
    Version,
    adoption_in_check,
    result_in_check,
)

REACTS_TO = [
    name_of(event) for event in (VersionResultReported, DatasetFrozen, VersionPredictionsReported)
]
ACTOR = "policy"
FEED = "results"


class ResultRefused(Exception):
    """What a worker stored is not what it claims; the text says why, in the user's words."""


class Claim(msgspec.Struct, frozen=True):
    """What is stored of a version according to its worker, or to who adopts it.

    `figures` are the worker's by their splits; None if nobody claims any. `source` is the archive
    of a trainer's code, if there is one.
    """

    attempt: int
    checkpoint: str
    bytes: int
    predictions: str
    figures: dict[str, SplitFigures | None] | None
    source: str | None = None


class Measurer(Protocol):
    """Reads what is stored of a version, and measures it. Both raise `ResultRefused`."""

    def measure(self, version: Version, claim: Claim) -> AcceptResult: ...

    def measure_predictions(
        self, version: Version, reported: VersionPredictionsReported
    ) -> AcceptPredictions: ...


def react(store: Store, measurer: Measurer, recorded: Recorded) -> None:
    """Accept or refuse a result that was reported, or a model that was brought, unless that is done
    or the version was cancelled."""
    version = version_of(store, recorded.entity_id)
    if isinstance(recorded.event, VersionPredictionsReported):
        _react_to_predictions(store, measurer, recorded, version, recorded.event)
        return
    command: AcceptResult | RefuseResult
    match recorded.event:
        case VersionResultReported(attempt=attempt):
            reported = result_in_check(version, attempt)
            if reported is None:
                return
            what, problem = "result", problem_of(version, reported)
        case DatasetFrozen() if adoption_in_check(version) is not None:
            attempt, what, problem = version.attempt, "adoption", None
        case _:
            return
    try:
        if problem:
            raise ResultRefused(problem)
        command = measurer.measure(version, claim_of(version))
    except ResultRefused as refused:
        command = RefuseResult(attempt, f"the {what} was refused: {refused}")
    _decide(store, recorded, f"{what}:{recorded.entity_id}:{attempt}", command)


def _react_to_predictions(
    store: Store,
    measurer: Measurer,
    recorded: Recorded,
    version: Version,
    reported: VersionPredictionsReported,
) -> None:
    purpose, number = reported.purpose, reported.number
    if predictions_in_check(version.predictions.get(purpose), number) is None:
        return
    command: AcceptPredictions | RefusePredictions
    try:
        command = measurer.measure_predictions(version, reported)
    except ResultRefused as refused:
        command = RefusePredictions(purpose, number, f"the predictions were refused: {refused}")
    _decide(store, recorded, f"{purpose}:{recorded.entity_id}:{number}", command)


def _decide(store: Store, recorded: Recorded, command_id: str, command: Command) -> None:
    request = Request(
        actor=ACTOR,
        command_id=command_id,
        correlation_id=recorded.metadata.correlation_id,
        causation_id=recorded.metadata.event_id,
    )
    handle(store, request, lambda session: session.decide(VERSION, recorded.entity_id, command))


def claim_of(version: Version) -> Claim:
    """The claim of a version that is in check, whose reports fit each other."""
    adopted = adoption_in_check(version)
    if adopted is not None:
        return Claim(
            version.attempt, adopted.checkpoint, adopted.bytes, adopted.predictions, figures=None
        )
    best, evaluated, reported = version.best, version.evaluated, version.reported
    assert best is not None
    assert evaluated is not None
    assert reported is not None
    assert evaluated.predictions is not None
    return Claim(
        reported.attempt,
        best.checkpoint,
        best.bytes,
        evaluated.predictions,
        {"validation": evaluated.validation, "train": evaluated.train},
        version.source,
    )
