import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.library import model as models
from domain.library.model import (
    ArchiveModel,
    ConceptSetAmended,
    Model,
    ModelArchived,
    ModelCreated,
    ModelForked,
    ModelRenamed,
    ModelReopened,
    NumberVersion,
    RenameModel,
    VersionNumbered,
)
from tests.domain.story import Story

given = Story(models.evolve, models.decide).given
CREATED = ModelCreated("v", "Model 1", ("c1", "c2"))


def test_a_model_is_renamed() -> None:
    given(CREATED).when(RenameModel(" Pets ")).then(ModelRenamed("Pets"))


def test_renaming_to_the_present_name_is_no_event() -> None:
    given(CREATED, ModelRenamed("Pets")).when(RenameModel("Pets")).then()


def test_a_nameless_model_is_refused() -> None:
    given(CREATED).when(RenameModel("")).then(Invalid, field="name")


def test_a_model_is_archived_once() -> None:
    given(CREATED).when(ArchiveModel()).then(ModelArchived())
    given(CREATED, ModelArchived()).when(ArchiveModel()).then()
    given(CREATED, ModelArchived(), ModelReopened()).when(ArchiveModel()).then(ModelArchived())


def test_versions_are_numbered_from_one() -> None:
    given(CREATED).when(NumberVersion("x1")).then(VersionNumbered("x1", 1))
    given(CREATED, VersionNumbered("x1", 1)).when(NumberVersion("x2")).then(
        VersionNumbered("x2", 2)
    )


def test_an_archived_model_is_not_trained() -> None:
    given(CREATED, ModelArchived()).when(NumberVersion("x1")).then(Conflict)


@pytest.mark.parametrize("command", [RenameModel("Pets"), ArchiveModel(), NumberVersion("x1")])
def test_a_model_that_is_not_there_takes_no_command(command: object) -> None:
    given().when(command).then(NotFound)


def test_a_fork_knows_its_parent_and_an_amended_model_its_set() -> None:
    state = given(
        ModelForked("v", "Model 2", "m1", ("c1",), "why"), ConceptSetAmended(("c3",))
    ).state
    assert state == Model("v", "Model 2", ("c3",), parent="m1")


def test_events_before_the_first_leave_no_model() -> None:
    assert given(ModelArchived()).state is None
