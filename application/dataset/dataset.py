"""A project's images at a position of the log, read image by image, and the views above a view."""

from collections.abc import Iterator

from application.log.store import END, Store
from domain.aggregates import IMAGE, PROJECT, VIEW
from domain.dataset.items import Parent
from domain.dataset.project import Project
from domain.event import StreamName
from domain.library.view import View
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


def parents_at(store: Store, view_id: str, position: int) -> tuple[Parent, ...]:
    """The views above a view at a position, the nearest first."""
    parents: list[Parent] = []
    view = _view_at(store, view_id, position)
    while view is not None and view.parent_id is not None:
        parent = _view_at(store, view.parent_id, position)
        if parent is None:
            break
        parents.append(Parent(view.parent_id, parent.kind, view.conditions))
        view = parent
    return tuple(parents)


def _view_at(store: Store, view_id: str, position: int) -> View | None:
    stream = VIEW.stream(view_id)
    events = store.streams([stream], upto=position)[stream]
    return VIEW.fold(recorded.event for recorded in events)


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
