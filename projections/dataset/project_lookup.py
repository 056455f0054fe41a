"""A project with the numbers of its images, by one query that is compiled once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, bindparam, func, literal, select, true

from domain.dataset.image import TEST, TRAIN, VALIDATION
from projections.dataset.catalog import ProjectRow, projects
from projections.dataset.inverted_index import PRESENT, counts
from projections.dataset.queries import DatasetCounts
from projections.engine.read_model import Write

_KEY = bindparam("key", type_=Text)
_FIELDS = ProjectRow.__struct_fields__

_by_split = (
    select(counts.c.split, func.sum(counts.c.images).label("images"))
    .where(counts.c.scope == _KEY, counts.c.mark == literal(PRESENT), counts.c.block < 0)
    .group_by(counts.c.split)
    .subquery()
)
_QUERY = (
    select(*(projects.c[name] for name in _FIELDS), _by_split.c.split, _by_split.c.images)
    .select_from(projects.outerjoin(_by_split, true()))
    .where(projects.c.project_id == _KEY)
)


def project_query(project_id: str) -> Write:
    """The query of a project, whose rows `project_in` reads."""
    return Write(_QUERY, {"key": project_id})


def project_in(rows: Sequence[tuple[Any, ...]]) -> tuple[ProjectRow, DatasetCounts] | None:
    """The project and its counts; None if there are no rows."""
    if not rows:
        return None
    images = {split: int(number) for *_, split, number in rows if split is not None}
    by_split = [images.get(split, 0) for split in (TRAIN, VALIDATION, TEST)]
    return ProjectRow(*rows[0][: len(_FIELDS)]), DatasetCounts(sum(by_split), *by_split)
