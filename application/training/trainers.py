"""Commands about trainers, and what a version of one is created with."""

from collections.abc import Mapping
from typing import Any

import msgspec

from application.handle import Decided, Session
from domain.aggregates import TRAINER
from domain.trainers import predicting
from domain.trainers.form import resolve_settings
from domain.trainers.trainer import (
    RegisterTrainer,
    Trainer,
    TrainerUse,
    require,
    require_usable,
    trainer_id,
)
from domain.training.version import Version


class TrainerChoice(msgspec.Struct, frozen=True):
    """The name of a trainer, and the settings that were chosen."""

    name: str
    settings: Mapping[str, Any]


def register_trainer(session: Session, command: RegisterTrainer) -> Decided[Trainer]:
    """A name is used once, also after its trainer is retired."""
    return session.decide(TRAINER, trainer_id(command.name), command)


def use_of(
    session: Session, choice: TrainerChoice, kind: str, *, defaults: bool = True
) -> TrainerUse:
    """What a version records. Without `defaults` only the settings that were chosen: nobody knows
    the others. Raises `NotFound`, `Conflict`, or `Invalid` naming a setting."""
    key = trainer_id(choice.name)
    trainer = require_usable(session.get(TRAINER, key), kind)
    settings = resolve_settings(trainer.settings, choice.settings)
    if not defaults:
        settings = {name: value for name, value in settings.items() if name in choice.settings}
    return TrainerUse(key, trainer.name, trainer.form, settings, trainer.format)


def is_predicted_by_trainer(session: Session, version: Version) -> bool:
    """Whether a worker of its trainer predicts other images with a version, and not one of
    Stemma's. Raises `Conflict` if nobody can."""
    use = version.created.trainer
    if use is None:
        return False
    trainer = require(session.get(TRAINER, use.trainer_id))
    size = version.best.bytes if version.best else 0
    return predicting.is_predicted_by_trainer(
        use, version.created.kind, size, predicts=trainer.predicts, retired=trainer.retired
    )
