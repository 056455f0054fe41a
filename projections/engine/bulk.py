"""What read models do while very many events come, as by an import: most read none of these."""

from collections.abc import Sequence

from domain.event import registry
from projections.engine.read_model import ReadModel

IMAGES = "image.added"
EVERYTHING = ("",)

PAGE = 300
"""Events of a page of one read model, between two of which the others have their turn."""

TURNS = 4
"""Of so many rounds the read models that read everything have one, where others are behind, too:
people wait for the dataset, and seldom for the trail."""


def reads_images(read_model: ReadModel) -> bool:
    """Whether it reads the events that imports record by the thousand."""
    return IMAGES.startswith(read_model.names)


def has_turn(read_model: ReadModel, number: int) -> bool:
    """Whether it goes before others in a round of the follower's."""
    return (read_model.names == EVERYTHING) == (number % TURNS == 0)


def skipped_by(read_models: Sequence[ReadModel]) -> list[str]:
    """The names of events that none of these reads."""
    read = tuple(name for read_model in read_models for name in read_model.names)
    return [name for name in registry() if not name.startswith(read)]
