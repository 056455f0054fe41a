"""A trainer: training code of a user's own, with the form of what it takes."""

import re
import uuid
from typing import ClassVar

import msgspec

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.library.view import KINDS
from domain.trainers.form import Setting, Value, check_form, digest_of
from domain.trainers.seed import (
    IssueSeed,
    RevokeSeed,
    Seed,
    SeedIssued,
    SeedRevoked,
    check_seed,
)

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*")
LONGEST_NAME = 80
NOT_FOUND = "trainer not found"
_NAMES = uuid.UUID("7c3f6a52-90d5-4b53-9a0e-5f4bb2f1f6c1")

SAFETENSORS, ONNX, OPAQUE = "safetensors", "onnx", "opaque"
FORMATS = (SAFETENSORS, ONNX, OPAQUE)
"""Formats of checkpoints; an opaque one is for the trainer alone to read."""

ENDINGS = {SAFETENSORS: "safetensors", ONNX: "onnx", OPAQUE: "bin"}
"""The endings of files of weights."""


class TrainerRegistered(Event, frozen=True, tag="trainer.registered"):
    """Training code may be used under a name such as `acme/logreg`, for these kinds of views.

    `format` is that of its checkpoints. Its workers take jobs from a queue of its own. If it
    `predicts`, they predict other images by its checkpoints, too.
    """

    schema_version: ClassVar[int] = 2

    name: str
    kinds: tuple[str, ...]
    settings: tuple[Setting, ...]
    format: str
    predicts: bool = False


class TrainerFormChanged(Event, frozen=True, tag="trainer.form_changed"):
    """The trainer takes other settings, trains other kinds, or predicts or not; versions keep the
    settings they had."""

    schema_version: ClassVar[int] = 2

    kinds: tuple[str, ...]
    settings: tuple[Setting, ...]
    predicts: bool = False


class TrainerRetired(Event, frozen=True, tag="trainer.retired"):
    """The trainer trains no new versions. Those that wait for it are trained, or cancelled."""


class TrainerUse(msgspec.Struct, frozen=True):
    """The trainer of a version: the form it had then, by its sha256, and what was chosen."""

    trainer_id: str
    name: str
    form: str
    settings: dict[str, Value]
    format: str


class Trainer(msgspec.Struct, frozen=True):
    """`seeds` are those of its workers, by their names, with revoked ones."""

    name: str
    kinds: tuple[str, ...]
    settings: tuple[Setting, ...]
    format: str
    predicts: bool = False
    retired: bool = False
    seeds: dict[str, Seed] = {}

    @property
    def form(self) -> str:
        return digest_of(self.kinds, self.settings)

    def queue(self, project_id: str) -> str:
        """The queue of a project's jobs: one of its own while the project has workers of its own
        for this trainer."""
        own = any(
            seed.project_id == project_id and not seed.revoked for seed in self.seeds.values()
        )
        return queue_of(self.name, project_id if own else None)


class RegisterTrainer(msgspec.Struct, frozen=True):
    name: str
    kinds: tuple[str, ...]
    settings: tuple[Setting, ...]
    format: str
    predicts: bool = False


class ChangeForm(msgspec.Struct, frozen=True):
    kinds: tuple[str, ...]
    settings: tuple[Setting, ...]
    predicts: bool = False


class RetireTrainer(msgspec.Struct, frozen=True):
    pass


Command = RegisterTrainer | ChangeForm | RetireTrainer | IssueSeed | RevokeSeed


def trainer_id(name: str) -> str:
    """The id of a trainer, which follows from its name: a name is used once."""
    return str(uuid.uuid5(_NAMES, name))


def queue_of(name: str, project_id: str | None = None) -> str:
    """The queue of a trainer's jobs, or of those of a project whose own workers take them. No name
    and no id has two hyphens in a row."""
    queue = "trainer--" + name.replace("/", "--")
    return queue if project_id is None else f"{queue}--{project_id}"


def evolve(trainer: Trainer | None, event: Event) -> Trainer | None:
    match event:
        case TrainerRegistered():
            return Trainer(event.name, event.kinds, event.settings, event.format, event.predicts)
        case TrainerFormChanged() if trainer is not None:
            return msgspec.structs.replace(
                trainer, kinds=event.kinds, settings=event.settings, predicts=event.predicts
            )
        case TrainerRetired() if trainer is not None:
            return msgspec.structs.replace(trainer, retired=True)
        case SeedIssued() if trainer is not None:
            issued = {event.worker: Seed(event.key, event.project_id)}
            return msgspec.structs.replace(trainer, seeds=trainer.seeds | issued)
        case SeedRevoked(worker=worker) if trainer is not None and worker in trainer.seeds:
            seed = msgspec.structs.replace(trainer.seeds[worker], revoked=True)
            return msgspec.structs.replace(trainer, seeds=trainer.seeds | {worker: seed})
    return trainer


def decide(command: Command, trainer: Trainer | None) -> list[Event]:
    if isinstance(command, RegisterTrainer):
        return _register(command, trainer)
    current = require(trainer)
    match command:
        case ChangeForm():
            if current.retired:
                raise Conflict(
                    f"trainer {current.name} is retired; register a trainer with another name"
                )
            _check(command.kinds, command.settings)
            form = command.kinds, command.settings, command.predicts
            if form == (current.kinds, current.settings, current.predicts):
                return []
            return [TrainerFormChanged(*form)]
        case RetireTrainer():
            return [] if current.retired else [TrainerRetired()]
        case IssueSeed():
            return [_issue(command, current)]
        case RevokeSeed(worker):
            if worker not in current.seeds:
                raise NotFound(f"trainer {current.name} has no worker {worker[:100]!r}")
            return [] if current.seeds[worker].revoked else [SeedRevoked(worker)]


def _issue(command: IssueSeed, current: Trainer) -> SeedIssued:
    check_seed(command)
    known = current.seeds.get(command.worker)
    if known is not None and not known.revoked:
        raise Conflict(
            f"worker {command.worker} has a seed; revoke it first to issue another",
            field="worker",
        )
    return SeedIssued(command.worker, command.key, command.project_id)


def _register(command: RegisterTrainer, trainer: Trainer | None) -> list[Event]:
    if not _NAME.fullmatch(command.name) or len(command.name) > LONGEST_NAME:
        raise Invalid(
            f"{command.name!r} is not the name of a trainer: use an owner and a name in lowercase"
            " letters, digits and single hyphens, such as acme/logreg",
            field="name",
        )
    if command.format not in FORMATS:
        raise Invalid(
            f"format must be one of {', '.join(FORMATS)}, got {command.format!r}",
            field="format",
        )
    _check(command.kinds, command.settings)
    if trainer is not None:
        retired = ", retired" if trainer.retired else ""
        raise Conflict(f"trainer {command.name} already exists{retired}", field="name")
    return [
        TrainerRegistered(
            command.name, command.kinds, command.settings, command.format, command.predicts
        )
    ]


def _check(kinds: tuple[str, ...], settings: tuple[Setting, ...]) -> None:
    if not kinds or any(kind not in KINDS for kind in kinds) or len(set(kinds)) < len(kinds):
        raise Invalid(f"kinds must be one or more of {', '.join(KINDS)}, each once", field="kinds")
    check_form(settings)


def require(trainer: Trainer | None) -> Trainer:
    if trainer is None:
        raise NotFound(NOT_FOUND)
    return trainer


def require_usable(trainer: Trainer | None, kind: str) -> Trainer:
    """The trainer, if it may train a view of this kind now. Raises `NotFound` or `Conflict`."""
    if trainer is None:
        raise NotFound(NOT_FOUND, field="trainer")
    current = trainer
    if current.retired:
        raise Conflict(f"trainer {current.name} is retired; choose another", field="trainer")
    if kind not in current.kinds:
        raise Conflict(
            f"trainer {current.name} trains {', '.join(current.kinds)}, and the view is a {kind}",
            field="trainer",
        )
    return current
