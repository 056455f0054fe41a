"""What travels between Stemma and a trainer: version 2 of the contract."""

from datetime import datetime
from typing import Any

import msgspec

VERSIONS = (1, 2)
"""The versions of the contract that this package speaks."""

STREAM, DOMAIN, CONTROL = "JOBS", "stemma", "control"
WORKERS = "workers"
TRAINING = "training"
"""The purpose of a job that trains; those of others are `test` and `suggestions`."""


class Concept(msgspec.Struct, frozen=True):
    concept_id: str
    label: str


class Job(msgspec.Struct, frozen=True):
    """A job as it lies in the queue; unknown fields are of newer servers.

    `purpose` and `checkpoint` are those of a job that predicts, `attempt` its request's number.
    """

    version_id: str
    attempt: int
    kind: str
    concepts: tuple[Concept, ...]
    trainer: str
    form: str
    settings: dict[str, Any]
    format: str
    manifest: str
    train_images: int
    validation_images: int
    correlation_id: str
    deliveries_before: int
    token: str
    contract: int
    purpose: str = TRAINING
    checkpoint: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of the manifest: an image of the frozen dataset, or a crop of one."""

    image: str
    blob: str
    split: str
    concepts: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    crop: tuple[float, float, float, float] | None = None


class Report(msgspec.Struct, frozen=True):
    version_id: str
    attempt: int
    delivery: int
    sequence: int
    at: datetime
    worker: str
    correlation_id: str
    token: str
    body: dict[str, Any]
    purpose: str = TRAINING


class DesiredState(msgspec.Struct, frozen=True):
    """The state of a version that users request during an attempt."""

    attempt: int
    desired: str


class Assignment(msgspec.Struct, frozen=True):
    """What the parent gives to its child."""

    job: Job
    delivery: int
    worker: str
    api_url: str
    cache: str
