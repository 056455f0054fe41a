"""A project's images at a position of the log, read image by image."""

from collections.abc import Iterator

from application.store import Store
from domain import image as images
from domain.manifest import PlacedImage


def images_at(store: Store, project_id: str, position: int) -> Iterator[PlacedImage]:
    """The images that the project had at a position, sorted by id; in constant memory."""
    for stream, events in store.image_streams(project_id, upto=position):
        state = None
        for event in events:
            state = images.evolve(state, event)
        if state is not None and not state.removed:
            yield PlacedImage(stream.removeprefix("image-"), state, len(events))
