"""Descriptions of a trainer's events on the trail."""

from domain.audit.trail_descriptions import Description
from domain.event import Event
from domain.trainers import trainer


def of_trainer(event: Event, subject: str) -> Description | None:
    """The description, or None for an event that is not about a trainer."""
    match event:
        case trainer.TrainerRegistered() as made:
            return Description(
                f"{subject} registered for {', '.join(made.kinds)}: {_form(made)}, checkpoints in"
                f" the format {made.format}"
            )
        case trainer.TrainerFormChanged() as changed:
            return Description(f"{subject} trains {', '.join(changed.kinds)}: {_form(changed)}")
        case trainer.TrainerRetired():
            return Description(f"{subject} retired")
    return None


def _form(event: trainer.TrainerRegistered | trainer.TrainerFormChanged) -> str:
    keys = ", ".join(setting.key for setting in event.settings) or "none"
    return f"settings {keys}"
