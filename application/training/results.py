"""The policy that checks the results of trainings, before their versions are ready.

A reaction may be repeated: measuring comes to the same, and a result is decided on once.
"""

from collections.abc import Callable

from application.handle import Request, handle
from application.log.store import Store
from application.training.policies import version_of
from domain.aggregates import VERSION
from domain.event import Recorded, name_of
from domain.training.result_checks import problem_of
from domain.training.results import AcceptResult, RefuseResult, VersionResultReported
from domain.training.version import Version, result_in_check

REACTS_TO = [name_of(VersionResultReported)]
ACTOR = "policy"
FEED = "results"


class ResultRefused(Exception):
    """What a worker stored is not what it claims; the text says why, in the user's words."""


Measure = Callable[[Version], AcceptResult]
"""Reads what the worker stored of a version whose result is in check, and measures it. Raises
`ResultRefused`."""


def react(store: Store, measure: Measure, recorded: Recorded) -> None:
    """Accept or refuse a result that was reported, unless that is done or it was cancelled."""
    if not isinstance(recorded.event, VersionResultReported):
        return
    attempt = recorded.event.attempt
    version = version_of(store, recorded.entity_id)
    reported = result_in_check(version, attempt)
    if reported is None:
        return
    command: AcceptResult | RefuseResult
    try:
        if problem := problem_of(version, reported):
            raise ResultRefused(problem)
        command = measure(version)
    except ResultRefused as refused:
        command = RefuseResult(attempt, f"the result was refused: {refused}")
    request = Request(
        actor=ACTOR,
        command_id=f"result:{recorded.entity_id}:{attempt}",
        correlation_id=recorded.metadata.correlation_id,
        causation_id=recorded.metadata.event_id,
    )
    handle(store, request, lambda session: session.decide(VERSION, recorded.entity_id, command))
