"""A project's dataset, folded from the log up to a position."""

from application.store import Store
from domain.event import name_of
from domain.image import ImageAdded, ImageAnnotated, ImageRemoved, ImageSplitAssigned
from domain.manifest import Dataset

IMAGE_EVENTS = [
    name_of(event) for event in (ImageAdded, ImageAnnotated, ImageSplitAssigned, ImageRemoved)
]


def dataset_at(store: Store, project_id: str, position: int) -> Dataset:
    """The images of a project as they were at a position of the log."""
    dataset = Dataset(project_id)
    for recorded in store.read_all(upto=position, names=IMAGE_EVENTS):
        dataset.apply(recorded)
    return dataset
