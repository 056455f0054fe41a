"""The policy that checks the results of trainings, before their versions are ready.

A reaction may be repeated: measuring comes to the same, and a result is decided on once.
"""

from collections.abc import Callable

import msgspec

from application.handle import Request, handle
from application.log.store import Store
from application.training.policies import version_of
from domain.aggregates import VERSION
from domain.event import Recorded, name_of
from domain.training.messages import SplitFigures
from domain.training.result_checks import problem_of
from domain.training.results import AcceptResult, RefuseResult, VersionResultReported
from domain.training.version import (
    DatasetFrozen,
    Version,
    adoption_in_check,
    result_in_check,
)

REACTS_TO = [name_of(VersionResultReported), name_of(DatasetFrozen)]
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


Measure = Callable[[Version, Claim], AcceptResult]
"""Reads what is stored of a version, and measures it. Raises `ResultRefused`."""


def react(store: Store, measure: Measure, recorded: Recorded) -> None:
    """Accept or refuse a result that was reported, or a model that was brought, unless that is done
    or the version was cancelled."""
    version = version_of(store, recorded.entity_id)
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
        command = measure(version, claim_of(version))
    except ResultRefused as refused:
        command = RefuseResult(attempt, f"the {what} was refused: {refused}")
    request = Request(
        actor=ACTOR,
        command_id=f"{what}:{recorded.entity_id}:{attempt}",
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
