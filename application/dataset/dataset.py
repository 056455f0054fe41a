"""A project's images at a position of the log, read image by image."""

from collections.abc import Iterator

from application.log.store import END, Store
from domain.aggregates import IMAGE, PROJECT
from domain.dataset.project import Project
from domain.event import StreamName
from domain.training.manifest import PlacedImage


def images_at(
    store: Store, project_id: str, position: int, *, personal: bool = False
) -> Iterator[PlacedImage]:
    """The images that the project had at a position, sorted by id; in constant memory.

    Their file names and metadata read as erased unless `personal` asks for them.
    """
    for stream, events in store.image_streams(project_id, upto=position, personal=personal):
        state = IMAGE.fold(events)
        if state is not None and not state.removed:
            yield PlacedImage(StreamName.parse(stream).entity_id, state, len(events))


def grey_bits_of(store: Store, project_id: str, *, upto: int = END) -> int | None:
    """The bits of a project's 16-bit grey values at a position, now by default; None if it has
    chosen none."""
    project = _project(store, project_id, upto)
    return None if project is None else project.grey_bits


def group_key_of(store: Store, project_id: str) -> str | None:
    """The metadata key that groups a project's images now, if it has one."""
    project = _project(store, project_id, END)
    return None if project is None else project.group_key


def _project(store: Store, project_id: str, upto: int) -> Project | None:
    stream = PROJECT.stream(project_id)
    events = store.streams([stream], upto=upto)[stream]
    return PROJECT.fold(recorded.event for recorded in events)
