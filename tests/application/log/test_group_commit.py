"""Appends that wait for one another are committed together, each by its own conditions."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from application.log.recorder import CommandRow
from application.log.store import AppendRefused, Store
from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.event import Recorded
from tests.adapters.running import eventually
from tests.application.scenes import recorded
from tests.servers import Database
from tests.waiting import HANG_SECONDS


@pytest.fixture
def store(migrated: Database) -> Iterator[Store]:
    made = Store(migrated.app_url, pool_size=16)
    yield made
    made.close()


@contextmanager
def behind_a_writer(
    store: Store, database: Database, works: Sequence[Callable[[], int]]
) -> Iterator[list[Future[int]]]:
    """Appends that all wait behind one whose commit is held up, in the order given."""
    with ThreadPoolExecutor(len(works) + 1) as threads:
        with psycopg.connect(database.admin_url) as blocker:
            blocker.execute("LOCK TABLE log.stemma_events IN EXCLUSIVE MODE")
            first = threads.submit(store.append, [created("first")])
            group = store._recorder._group
            eventually(lambda: group._busy)
            futures = []
            for number, work in enumerate(works, start=1):
                futures.append(threads.submit(work))
                eventually(partial(_are_waiting, group, number))
        first.result(HANG_SECONDS)
        yield futures


def _are_waiting(group: Any, count: int) -> bool:
    return len(group._waiting) == count


def created(key: str, revision: int = 1) -> Recorded:
    event = ProjectCreated(key) if revision == 1 else ProjectRenamed(f"{key} {revision}")
    return recorded(f"project-{key}", revision, event)


def transactions(database: Database) -> int:
    with psycopg.connect(database.app_url) as connection:
        row = connection.execute("SELECT count(DISTINCT xmin::text) FROM log.stemma_events")
        return int((row.fetchone() or [0])[0])


def test_appends_that_wait_share_a_transaction(store: Store, migrated: Database) -> None:
    works = [partial(store.append, [created(key)]) for key in "abcdefgh"]
    with behind_a_writer(store, migrated, works) as futures:
        assert sorted(one.result(HANG_SECONDS) for one in futures) == [*range(2, 10)]
    assert transactions(migrated) == 2
    log = list(store.read_all())
    assert [one.position for one in log] == [*range(1, 10)]
    for key, future in zip("abcdefgh", futures, strict=True):
        assert log[future.result() - 1].stream == f"project-{key}"


def test_a_refused_one_leaves_the_others_alone(store: Store, migrated: Database) -> None:
    store.append([created("old")])
    works = [
        lambda: store.append([created("a")]),
        lambda: store.append([created("old", 1)]),
        lambda: store.append([created("b")], unchanged={"project-old": 0}),
        lambda: store.append([created("c")], command=CommandRow("c", "", b"")),
    ]
    with behind_a_writer(store, migrated, works) as (a, stale, unfounded, c):
        assert a.result(HANG_SECONDS) != c.result(HANG_SECONDS)
        for refused in (stale, unfounded):
            with pytest.raises(AppendRefused):
                refused.result(HANG_SECONDS)
    assert {one.stream for one in store.read_all()} == {
        "project-old",
        "project-first",
        "project-a",
        "project-c",
    }
    assert store.find_command("c") is not None


def test_appends_to_one_stream_follow_each_other(store: Store, migrated: Database) -> None:
    """So does one that rests on a stream that another one writes: it is refused by what it says."""
    works = [
        lambda: store.append([created("a")]),
        lambda: store.append([created("a", 2)]),
        lambda: store.append([created("b")], unchanged={"project-a": 2}),
        lambda: store.append([created("c")], unchanged={"project-x": 0}),
        lambda: store.append([created("d")], unchanged={"project-x": 0}),
    ]
    with behind_a_writer(store, migrated, works) as futures:
        for future in futures:
            future.result(HANG_SECONDS)
    assert transactions(migrated) == 4


def test_a_command_or_a_feed_is_taken_once(store: Store, migrated: Database) -> None:
    works = [
        partial(
            store.append,
            [created(key)],
            command=CommandRow("same", "", b""),
            tracking=("feed", 1),
        )
        for key in "ab"
    ]
    with behind_a_writer(store, migrated, works) as (one, other):
        outcomes = [future.exception(HANG_SECONDS) for future in (one, other)]
    assert [type(outcome) for outcome in outcomes if outcome] == [AppendRefused]
    assert store.head() == 2


def test_a_large_append_is_committed_by_itself(store: Store, migrated: Database) -> None:
    many = [created("large", revision) for revision in range(1, 1001)]
    works = [lambda: store.append([created("a")]), lambda: store.append(many)]
    with behind_a_writer(store, migrated, works) as futures:
        for future in futures:
            future.result(HANG_SECONDS)
    assert transactions(migrated) == 3


def test_many_writers_at_once_leave_no_gap(store: Store) -> None:
    """Each keeps its streams' order, and what it was told is where its event is."""
    together = threading.Barrier(16)

    def write(writer: int) -> dict[int, str]:
        together.wait(HANG_SECONDS)
        return {
            store.append([created(f"{writer}-{number}")]): f"project-{writer}-{number}"
            for number in range(10)
        }

    with ThreadPoolExecutor(16) as threads:
        told = [future.result() for future in [threads.submit(write, n) for n in range(16)]]
    log = {one.position: one.stream for one in store.read_all()}
    assert list(log) == [*range(1, 161)]
    assert log == {position: name for part in told for position, name in part.items()}
