"""Descriptions of a trainer's events on the trail."""

from domain.audit.trail_descriptions import Description, States, named_in
from domain.event import Event
from domain.trainers import trainer
from domain.trainers.seed import SeedIssued, SeedRevoked


def of_trainer(event: Event, subject: str, states: States) -> Description | None:
    """The description, or None for an event that is not about a trainer."""
    match event:
        case trainer.TrainerRegistered() as made:
            return Description(
                f"{subject} registered for {', '.join(made.kinds)}: {_form(made)}, checkpoints in"
                f" the format {made.format}{_predicting(made)}"
            )
        case trainer.TrainerFormChanged() as changed:
            kinds = ", ".join(changed.kinds)
            return Description(f"{subject} trains {kinds}: {_form(changed)}{_predicting(changed)}")
        case trainer.TrainerRetired():
            return Description(f"{subject} retired")
        case SeedIssued() as issued:
            project = issued.project_id
            of = "all projects" if project is None else named_in(states, f"project-{project}")
            return Description(f"{subject}: worker {issued.worker} got a seed for jobs of {of}")
        case SeedRevoked(worker=worker):
            return Description(f"{subject}: the seed of worker {worker} was revoked")
    return None


def _form(event: trainer.TrainerRegistered | trainer.TrainerFormChanged) -> str:
    keys = ", ".join(setting.key for setting in event.settings) or "none"
    return f"settings {keys}"


def _predicting(event: trainer.TrainerRegistered | trainer.TrainerFormChanged) -> str:
    return "; its workers predict other images" if event.predicts else ""
