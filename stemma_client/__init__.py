"""Stemma from Python: projects, trainings, metrics, and the events of its log.

    from stemma_client import Stemma

    s = Stemma()
    run = s.projects["Pets"].views["species"].train(architecture="resnet18", epochs=3)
    run.wait().metrics().to_pandas()

A service that follows the events stores `received.position` with its own data, and begins there:

    for received in s.events(after=position, names=["version.*"]):
        match received.event:
            case events.VersionTrainingCompleted(checkpoint=checkpoint): ...
        store(received.position)
"""

from stemma_client._generated import answers, events, operations
from stemma_client.client import Stemma
from stemma_client.errors import (
    ApiError,
    Conflict,
    DigestMismatch,
    Forbidden,
    Gone,
    ImageUnreadable,
    ImportFailed,
    Invalid,
    NotFound,
    NotProven,
    NotStemma,
    OnnxFailed,
    PresentOnly,
    ReadOnly,
    Refused,
    Stale,
    StemmaError,
    TooManyRequests,
    TrainingFailed,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
)
from stemma_client.order import Gap
from stemma_client.over_http import follow_http
from stemma_client.received import Received, Unknown

__all__ = [
    "ApiError",
    "Conflict",
    "DigestMismatch",
    "Forbidden",
    "Gap",
    "Gone",
    "ImageUnreadable",
    "ImportFailed",
    "Invalid",
    "NotFound",
    "NotProven",
    "NotStemma",
    "OnnxFailed",
    "PresentOnly",
    "ReadOnly",
    "Received",
    "Refused",
    "Stale",
    "Stemma",
    "StemmaError",
    "TooManyRequests",
    "TrainingFailed",
    "Unauthenticated",
    "Unknown",
    "Unreachable",
    "WaitTimeout",
    "answers",
    "events",
    "follow_http",
    "operations",
]
