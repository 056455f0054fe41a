from domain.aggregates import AGGREGATES, PROJECT
from domain.dataset.project import Project, ProjectCreated, ProjectRenamed
from domain.event import StreamName, registry


def test_every_event_is_of_an_aggregate() -> None:
    assert {name.split(".")[0] for name in registry()} == AGGREGATES.keys()


def test_folding_gives_the_state_after_the_last_event() -> None:
    assert PROJECT.fold([ProjectCreated("a"), ProjectRenamed("b")]) == Project("b")
    assert PROJECT.fold([]) is None


def test_a_streams_name_is_its_kind_and_an_id_that_may_have_hyphens() -> None:
    assert StreamName.parse("view-4154-e738") == StreamName("view", "4154-e738")
    assert str(StreamName.parse("view-4154-e738")) == "view-4154-e738"
    assert StreamName.parse("view") == StreamName("view", "")
