import pytest

from domain.dataset import project
from domain.dataset.project import (
    CoverGreyValues,
    CreateProject,
    GreyDepthChosen,
    ProjectCreated,
    ProjectRenamed,
    RenameProject,
    ValidationSplitDrawn,
)
from domain.errors import Conflict, Invalid, NotFound
from tests.domain.story import Story

given = Story(project.evolve, project.decide).given
CREATED = ProjectCreated("Digits")


def test_a_project_begins_with_a_clean_name() -> None:
    given().when(CreateProject("  Digits ")).then(CREATED)


def test_a_project_begins_once() -> None:
    given(CREATED).when(CreateProject("Digits")).then(Conflict)


def test_a_nameless_project_is_refused() -> None:
    given().when(CreateProject(" ")).then(Invalid, field="name")


def test_a_project_is_renamed() -> None:
    given(CREATED).when(RenameProject("Numbers")).then(ProjectRenamed("Numbers"))


@pytest.mark.parametrize(
    ("highest", "bits"), [(0, 8), (255, 8), (256, 10), (4095, 12), (4096, 14), (65535, 16)]
)
def test_the_least_depth_that_holds_the_values_is_chosen(highest: int, bits: int) -> None:
    given(CREATED).when(CoverGreyValues(highest)).then(GreyDepthChosen(bits))


def test_a_depth_is_raised_and_never_lowered() -> None:
    chosen = GreyDepthChosen(12)
    given(CREATED, chosen).when(CoverGreyValues(65535)).then(GreyDepthChosen(16))
    given(CREATED, chosen).when(CoverGreyValues(300)).then()
    given(CREATED, chosen).when(CoverGreyValues(4095)).then()
    given().when(CoverGreyValues(300)).then(NotFound)


def test_renaming_to_the_present_name_is_no_event() -> None:
    given(CREATED, ProjectRenamed("Numbers")).when(RenameProject("Numbers ")).then()


def test_a_project_that_is_not_there_is_not_renamed() -> None:
    given().when(RenameProject("Numbers")).then(NotFound)


def test_a_project_counts_its_splits() -> None:
    drawn = ValidationSplitDrawn(0.2, 1, 10, 2, 7)
    assert given(CREATED, drawn, drawn).state == project.Project("Digits", splits_drawn=2)


def test_events_of_other_aggregates_leave_a_project_alone() -> None:
    assert given(ProjectRenamed("Numbers")).state is None
