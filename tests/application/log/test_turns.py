"""Commands that change the same streams take turns, once they have met."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from application.dataset import projects
from application.handle import Decided, Session, handle
from application.log.store import Store
from application.log.turns import MOST_STREAMS, Turns
from domain.aggregates import PROJECT
from domain.dataset.project import ProjectRenamed, RenameProject
from tests.adapters.running import eventually
from tests.application.scenes import do, recorded, request
from tests.waiting import HANG_SECONDS


def test_a_command_that_was_preceded_holds_the_turn_at_what_it_read(store: Store) -> None:
    project = do(store, lambda session: projects.create_project(session, "Digits")).id
    stream, lines = PROJECT.stream(project), []

    def decide(session: Session) -> Decided[Any]:
        decided = session.change(PROJECT, project, RenameProject("Letters"))
        lines.append(store.turns.count(stream))
        if len(lines) == 1:
            store.append([recorded(stream, 2, ProjectRenamed("Numbers"))])
        return decided

    assert handle(store, request(), decide).revision == 3
    assert (lines, store.turns.count(stream)) == ([0, 1], 0)


def test_a_command_joins_a_line_before_it_reads(store: Store) -> None:
    """So it is decided on what those before it save, and is not refused."""
    project = do(store, lambda session: projects.create_project(session, "Digits")).id
    stream, revisions = PROJECT.stream(project), []

    def decide(session: Session) -> Decided[Any]:
        decided = session.change(PROJECT, project, RenameProject("Letters"))
        revisions.append(store.revisions([stream])[stream])
        return decided

    with ThreadPoolExecutor(1) as threads:
        with store.turns.at([stream], begin=True):
            later = threads.submit(handle, store, request(), decide)
            eventually(lambda: store.turns.count(stream) == 2)
            do(store, lambda s: projects.create_project(s, "Others are not in the line"))
            store.append([recorded(stream, 2, ProjectRenamed("Numbers"))])
        assert later.result(HANG_SECONDS).revision == 3
    assert revisions == [2]


def test_lines_are_entered_in_one_order() -> None:
    turns, both = Turns(), threading.Barrier(2)

    def take(streams: list[str]) -> None:
        both.wait(HANG_SECONDS)
        for _ in range(200):
            with turns.at(streams, begin=True):
                pass

    with ThreadPoolExecutor(2) as threads:
        for each in [threads.submit(take, ["a", "b"]), threads.submit(take, ["b", "a"])]:
            each.result(HANG_SECONDS)
    assert turns.count("a") == turns.count("b") == 0


def test_a_command_about_many_streams_takes_no_turn() -> None:
    turns = Turns()
    streams = [str(number) for number in range(MOST_STREAMS + 1)]
    with turns.taking() as turn:
        turn.take(streams, begin=True)
        assert turns.count("0") == 0
        turn.take(streams[1:], begin=True)
        assert turns.count("1") == 1
