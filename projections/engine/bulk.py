"""What read models do while very many events come, as by an import: most read none of these."""

from collections.abc import Sequence

from domain.event import registry
from projections.engine.read_model import ReadModel

IMAGES = "image.added"
EVERYTHING = ("",)

TURN = 3
"""Pages of a read model that does not read everything, for one of a read model that does: people
wait for the dataset, and seldom for the trail."""


def reads_images(read_model: ReadModel) -> bool:
    """Whether it reads the events that imports record by the thousand."""
    return IMAGES.startswith(read_model.names)


def pages_in_turn(read_model: ReadModel) -> int:
    """The pages that it moves over before others move over one."""
    return 1 if read_model.names == EVERYTHING else TURN


def skipped_by(read_models: Sequence[ReadModel]) -> list[str]:
    """The names of events that none of these reads."""
    read = tuple(name for read_model in read_models for name in read_model.names)
    return [name for name in registry() if not name.startswith(read)]
