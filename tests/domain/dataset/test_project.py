import pytest

from domain.dataset import project
from domain.dataset.project import (
    CoverGreyValues,
    CreateProject,
    DrawValidationSplit,
    GreyDepthChosen,
    ProjectCreated,
    ProjectRenamed,
    RenameProject,
    ValidationSplitDrawn,
    draw_validation_set,
)
from domain.errors import Conflict, Invalid, NotFound
from tests.domain.story import Story

given = Story(project.evolve, project.decide).given
CREATED = ProjectCreated("Digits")
IDS = [f"image-{number}" for number in range(10)]


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


@pytest.mark.parametrize(("size", "count"), [(0.2, 2), (0.5, 5), (0.25, 2), (3, 3), (9, 9)])
def test_a_split_has_the_size_asked_for(size: float, count: int) -> None:
    drawn = draw_validation_set(DrawValidationSplit(size, 1), IDS)
    assert len(drawn) == count
    assert drawn < set(IDS)


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_the_images() -> None:
    drawn = draw_validation_set(DrawValidationSplit(5, 1), IDS)
    assert draw_validation_set(DrawValidationSplit(5, 1), IDS[::-1]) == drawn
    assert draw_validation_set(DrawValidationSplit(5, 2), IDS) != drawn


@pytest.mark.parametrize(
    "size", [0, -1, -0.5, 1, 1.5, float("nan"), float("inf"), 0.01, 0.99, 10, 11, 1e300]
)
def test_a_split_of_no_use_is_refused(size: float) -> None:
    with pytest.raises(Invalid) as refused:
        draw_validation_set(DrawValidationSplit(size, 1), IDS)
    assert refused.value.field == "size"


@pytest.mark.parametrize("seed", [-1, 2**53 + 1])
def test_a_seed_that_json_cannot_hold_exactly_is_refused(seed: int) -> None:
    with pytest.raises(Invalid) as refused:
        draw_validation_set(DrawValidationSplit(0.5, seed), IDS)
    assert refused.value.field == "seed"


def test_no_split_is_drawn_from_no_image() -> None:
    with pytest.raises(Invalid, match="0 images"):
        draw_validation_set(DrawValidationSplit(0.5, 1), [])
