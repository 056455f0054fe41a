"""Commands happen once, on the state they were decided on."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from application.dataset import projects
from application.handle import Decided, Session, handle
from application.log.store import Store
from domain.aggregates import PROJECT
from domain.dataset.project import Project, ProjectRenamed, RenameProject
from domain.errors import Conflict, Invalid, NotFound, Stale
from tests.application.scenes import at_once, do, recorded, request
from tests.waiting import HANG_SECONDS

Decide = Callable[[Session], Decided[Any]]


def create(name: str = "Digits") -> Decide:
    return lambda session: projects.create_project(session, name)


def rename(project: str, name: str) -> Decide:
    return lambda session: session.change(PROJECT, project, RenameProject(name))


def events(store: Store) -> list[str]:
    return [one.event.event_name for one in store.read_all()]


@pytest.fixture
def project(store: Store) -> str:
    return do(store, create()).id


def interrupted(
    store: Store, project: str, decide: Decide, times: int = 99
) -> tuple[Decide, list[int]]:
    """A command during whose first tries another writer renames the project."""
    tries: list[int] = []

    def decide_late(session: Session) -> Decided[Any]:
        decided = decide(session)
        tries.append(len(tries) + 1)
        if len(tries) <= times:
            event = ProjectRenamed(f"renamed {len(tries)}")
            store.append([recorded(PROJECT.stream(project), 1 + len(tries), event)])
        return decided

    return decide_late, tries


def test_an_outcome_tells_id_revision_and_position(store: Store) -> None:
    first = do(store, create())
    do(store, create("Letters"))
    renamed = do(store, rename(first.id, "Numbers"))
    assert (first.revision, first.position) == (1, 1)
    assert (renamed.id, renamed.revision, renamed.position) == (first.id, 2, 3)


def test_events_carry_their_envelope(store: Store) -> None:
    asked = request("c1")
    handle(store, asked, create())
    [one] = store.read(0)
    metadata = one.metadata
    assert (metadata.actor, metadata.command_id) == ("user:ada", "c1")
    assert (metadata.correlation_id, metadata.causation_id) == ("correlation of c1", None)
    assert metadata.occurred_at.tzinfo is not None


def test_a_refused_command_leaves_nothing_and_may_be_sent_again(store: Store, project: str) -> None:
    asked = request()
    with pytest.raises(Invalid):
        handle(store, asked, rename(project, ""))
    assert handle(store, asked, rename(project, "Numbers")).revision == 2


def test_a_command_sent_again_returns_its_first_outcome(store: Store, project: str) -> None:
    asked = request()
    first = handle(store, asked, rename(project, "Numbers"))
    do(store, rename(project, "Letters"))
    again = handle(store, asked, rename(project, "Numbers"))
    assert (again.id, again.revision, again.ids) == (first.id, first.revision, first.ids)
    assert again.position == store.head()
    assert len(events(store)) == 3


def test_a_command_that_changed_nothing_is_remembered_too(store: Store, project: str) -> None:
    asked = request()
    assert handle(store, asked, rename(project, "Digits")).revision == 1
    do(store, rename(project, "Letters"))
    assert handle(store, asked, rename(project, "Digits")).revision == 1
    assert events(store) == ["project.created", "project.renamed"]


def test_a_command_id_is_not_used_for_another_request(store: Store, project: str) -> None:
    handle(store, request("c1", fingerprint="first"), rename(project, "Numbers"))
    with pytest.raises(Conflict) as refused:
        handle(store, request("c1", fingerprint="second"), rename(project, "Letters"))
    assert refused.value.field == "Idempotency-Key"
    assert len(events(store)) == 2


def test_one_command_sent_at_once_by_many_happens_once(store: Store) -> None:
    for _ in range(10):
        before = store.head()
        asked, ready = request(), threading.Barrier(4)

        def send(asked: Any = asked, ready: threading.Barrier = ready) -> str:
            ready.wait(HANG_SECONDS)
            return handle(store, asked, create()).id

        ids = at_once([send] * 4)
        assert len(set(ids)) == 1
        assert len(store.read(before)) == 1


def test_a_command_that_its_own_first_sending_made_impossible_returns_the_outcome(
    store: Store,
) -> None:
    asked, outcomes = request(), []

    def decide_late(session: Session) -> Decided[Project]:
        outcomes.append(handle(store, asked, create()))
        return create()(session)

    assert handle(store, asked, decide_late) == outcomes[0]
    assert events(store) == ["project.created"]


def test_a_command_is_decided_again_when_someone_was_first(store: Store, project: str) -> None:
    decide, tries = interrupted(store, project, rename(project, "Numbers"), times=2)
    assert do(store, decide).revision == 4
    assert len(tries) == 3


def test_a_command_is_given_up_when_someone_is_always_first(
    store: Store, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.handle.TRYING_SECONDS", 0.0)
    decide, tries = interrupted(store, project, rename(project, "Numbers"))
    with pytest.raises(Conflict, match="try again"):
        do(store, decide)
    assert len(tries) == 4


def test_every_try_gives_the_same_ids(store: Store, project: str) -> None:
    ids: list[str] = []

    def decide_new(session: Session) -> Decided[Project]:
        session.get(PROJECT, project)
        ids.append(session.new_id())
        return rename(project, "Numbers")(session)

    decide, _ = interrupted(store, project, decide_new, times=1)
    do(store, decide)
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_two_ids_of_a_command_differ(store: Store) -> None:
    session = Session(store, request())
    assert session.new_id() != session.new_id()


def test_a_caller_who_saw_the_present_revision_is_served(store: Store, project: str) -> None:
    assert handle(store, request(expected=1), rename(project, "Numbers")).revision == 2


@pytest.mark.parametrize("expected", [0, 2])
def test_a_caller_who_saw_another_revision_is_told_so(
    store: Store, project: str, expected: int
) -> None:
    with pytest.raises(Stale, match="revision is 1"):
        handle(store, request(expected=expected), rename(project, "Numbers"))
    assert len(events(store)) == 1


def test_a_caller_who_names_a_revision_is_not_decided_again(store: Store, project: str) -> None:
    decide, tries = interrupted(store, project, rename(project, "Numbers"), times=1)
    with pytest.raises(Stale):
        handle(store, request(expected=1), decide)
    assert len(tries) == 1


def test_a_decision_on_a_stream_it_only_read_is_decided_again(store: Store, project: str) -> None:
    other = do(store, create("Letters")).id

    def copy_name(session: Session) -> Decided[Project]:
        source = session.get(PROJECT, project)
        assert source is not None
        return session.change(PROJECT, other, RenameProject(f"copy of {source.name}"))

    decide, _ = interrupted(store, project, copy_name, times=1)
    do(store, decide)
    state = Session(store, request()).get(PROJECT, other)
    assert state is not None
    assert state.name == "copy of renamed 1"


def test_a_command_sees_all_streams_at_one_position(store: Store, project: str) -> None:
    other = do(store, create("Letters")).id
    session = Session(store, request())
    before = session.get(PROJECT, project)
    do(store, rename(other, "Numbers"))
    assert session.get(PROJECT, other) == Project("Letters")
    assert before == Project("Digits")


def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        do(store, rename("nowhere", "Numbers"))
    assert events(store) == []
