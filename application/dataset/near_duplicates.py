"""Moving near-duplicates: all images that look alike go to one split, with their groups."""

from collections.abc import Callable, Collection

from application.dataset.groups import Members, assign_all, with_groups
from application.handle import Decided, Session
from domain.aggregates import IMAGE, PROJECT
from domain.dataset import image as images
from domain.dataset import project as projects
from domain.dataset.image import TEST, TRAIN, VALIDATION, AssignSplit
from domain.dataset.project import Project
from domain.errors import NotFound

Cluster = Callable[[str, Collection[str]], Collection[str]]
"""From a project and blobs: the ids of the project's images that look like one of these."""


def unite_near_duplicates(
    session: Session,
    project_id: str,
    image_id: str,
    split: str | None,
    cluster: Cluster,
    members: Members,
) -> Decided[Project]:
    """Assign an image, those that look like it, and their groups to one split.

    By default this is test, if one of them is there, or else validation: training loses what would
    leak. What looks like another image of a group moves, too. `ids` are the images that moved,
    `counts` has the split.
    """
    projects.require(session.get(PROJECT, project_id))
    image = images.require(session.get(IMAGE, image_id))
    if image.project_id != project_id:
        raise NotFound("image not found in this project", field="image_id")
    states, found = {image_id: image}, {image_id}
    while found:
        alike = cluster(project_id, {states[key].blob for key in found})
        whole = with_groups(session, project_id, {*found, *alike}, members)
        found = whole.keys() - states.keys()
        states |= whole
    splits = {state.split for state in states.values()}
    chosen = split or next(each for each in (TEST, VALIDATION, TRAIN) if each in splits)
    moved = assign_all(session, states, AssignSplit(chosen))
    return Decided(PROJECT, project_id, moved, counts={chosen: len(moved)})
