from domain.aggregates import AGGREGATES, PROJECT
from domain.dataset.project import Project, ProjectCreated, ProjectRenamed
from domain.event import registry


def test_every_event_is_of_an_aggregate() -> None:
    assert {name.split(".")[0] for name in registry()} == AGGREGATES.keys()


def test_folding_gives_the_state_after_the_last_event() -> None:
    assert PROJECT.fold([ProjectCreated("a"), ProjectRenamed("b")]) == Project("b")
    assert PROJECT.fold([]) is None
