"""Seeds of a trainer's workers: who may take its jobs on NATS, of all projects or of one."""

import re

import msgspec

from domain.errors import Invalid
from domain.event import Event

_WORKER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"U[A-Z2-7]{55}")
"""The public half of an nkey of a user."""


class SeedIssued(Event, frozen=True, tag="trainer.seed_issued"):
    """A worker may take the trainer's jobs, of one project or of all, and report under its name.

    `key` is the public half of its nkey; only whoever requested it has the seed itself.
    """

    worker: str
    key: str
    project_id: str | None


class SeedRevoked(Event, frozen=True, tag="trainer.seed_revoked"):
    """The worker takes no more jobs, and what it reports is refused."""

    worker: str


class Seed(msgspec.Struct, frozen=True):
    key: str
    project_id: str | None
    revoked: bool = False


class IssueSeed(msgspec.Struct, frozen=True):
    worker: str
    key: str
    project_id: str | None


class RevokeSeed(msgspec.Struct, frozen=True):
    worker: str


def check_seed(command: IssueSeed) -> None:
    """Raises `Invalid`."""
    if not _WORKER.fullmatch(command.worker):
        raise Invalid(
            f"{command.worker[:100]!r} is not the name of a worker: use up to 64 letters, digits, -"
            " and _",
            field="worker",
        )
    if not _KEY.fullmatch(command.key):
        raise Invalid(f"{command.key[:100]!r} is not the public key of an nkey", field="key")
