"""A project's images folded from the log event by event, to compare read models with."""

from domain.dataset import image as images
from domain.dataset.image import Image, ImageAdded
from domain.event import Event, Recorded
from domain.training.manifest import PlacedImage


class Dataset:
    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self._images: dict[str, PlacedImage] = {}

    def apply(self, recorded: Recorded) -> None:
        """Take in the next event of the log, of this project's images or not."""
        known = self._images.get(recorded.entity_id)
        event: Event = recorded.event
        ours = isinstance(event, ImageAdded) and event.project_id == self.project_id
        if known is None and not ours:
            return
        state: Image | None = images.evolve(known.state if known else None, event)
        assert state is not None
        self._images[recorded.entity_id] = PlacedImage(
            recorded.entity_id, state, recorded.originator_version
        )

    def images(self) -> dict[str, PlacedImage]:
        """The images that have not been removed, by id."""
        return {key: found for key, found in self._images.items() if not found.state.removed}
