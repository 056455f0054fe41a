from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from domain.dataset.project import ProjectCreated, ProjectRenamed, ValidationSplitDrawn
from domain.library.view import (
    ConceptAdded,
    ConceptRemoved,
    ConceptRenamed,
    ModelRegistered,
    ViewCreated,
)
from projections.dataset.catalog import (
    ConceptRow,
    ProjectRow,
    find_project,
    find_view,
    labels_of,
    list_projects,
    list_views,
)
from tests.projections.made_log import MadeLog, at

LOG = MadeLog()
LOG.add("project-p1", ProjectCreated("Digits"), ProjectRenamed("Numbers"))
LOG.add("project-p2", ProjectCreated("Letters 100%"), ValidationSplitDrawn(0.2, 1, 9, 2, 3))
LOG.add("project-p3", ProjectCreated("numb_er"))
LOG.add("view-v1", ViewCreated("p1", "which", "classification"))
LOG.add("view-v2", ViewCreated("p1", "what", "tagging"), ConceptAdded("c9", "nine"))
LOG.add(
    "view-v1", ConceptAdded("c1", "one"), ConceptAdded("c2", "two"), ConceptAdded("c3", "three")
)
LOG.add("view-v1", ModelRegistered("m1", ("c1", "c2", "c3")), ConceptRenamed("c2", "deux"))
LOG.add("view-v1", ConceptRemoved("c1"), ConceptRemoved("c3"), ConceptAdded("c1", "one"))


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    LOG.follow(engine)
    with engine.connect() as opened:
        yield opened


def test_a_project_has_its_last_name_and_counts_its_splits(connection: Connection) -> None:
    assert find_project(connection, "p1") == ProjectRow("p1", "Numbers", at(1), 1, 0, 2, None)
    assert find_project(connection, "p2") == ProjectRow("p2", "Letters 100%", at(3), 3, 1, 2, None)
    assert find_project(connection, "p9") is None


def test_projects_are_listed_newest_first_in_pages(connection: Connection) -> None:
    first = list_projects(connection, limit=2)
    assert [row.project_id for row in first] == ["p3", "p2"]
    rest = list_projects(connection, before=first[-1].created_position)
    assert [row.project_id for row in rest] == ["p1"]


@pytest.mark.parametrize(
    ("name", "found"), [("NUMB", ["p3", "p1"]), ("b_e", ["p3"]), ("0%", ["p2"]), ("zzz", [])]
)
def test_projects_are_found_by_a_part_of_their_name(
    connection: Connection, name: str, found: list[str]
) -> None:
    assert [row.project_id for row in list_projects(connection, name=name)] == found


def test_views_are_listed_oldest_first_with_their_concepts(connection: Connection) -> None:
    which, what = list_views(connection, "p1")
    assert (which.name, which.kind, which.revision) == ("which", "classification", 9)
    assert which.concepts == [ConceptRow("c2", "deux"), ConceptRow("c1", "one")]
    assert what.concepts == [ConceptRow("c9", "nine")]
    assert list_views(connection, "p2") == []


def test_a_view_is_found(connection: Connection) -> None:
    assert find_view(connection, "v1") == list_views(connection, "p1")[0]
    assert find_view(connection, "v9") is None


def test_removed_concepts_keep_their_labels(connection: Connection) -> None:
    assert labels_of(connection, "v1") == {"c1": "one", "c2": "deux", "c3": "three"}
