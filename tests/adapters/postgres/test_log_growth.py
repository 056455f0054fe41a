"""Waiting for the log: events wake those who name them, whatever becomes of connections."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import psycopg
from sqlalchemy import text

from adapters.postgres.log_growth import log_growth
from adapters.postgres.postgres import engine_for
from adapters.processes.processes import wait_until
from application.log.store import Store
from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.event import name_of
from tests.application.scenes import Scene, recorded
from tests.servers import Database
from tests.waiting import HANG_SECONDS

NEVER = 1000.0
CREATED, RENAMED = name_of(ProjectCreated), name_of(ProjectRenamed)


class Waiter:
    """Counts how often it is woken."""

    def __init__(self, url: str, names: Sequence[str], poll: float) -> None:
        self.count = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(url, names, poll))
        self.thread.start()

    def _run(self, url: str, names: Sequence[str], poll: float) -> None:
        for _ in log_growth(url, self.stop, names, poll):
            self.count += 1

    def end(self) -> None:
        self.stop.set()
        self.thread.join(HANG_SECONDS)
        assert not self.thread.is_alive()


@contextmanager
def waiting(url: str, names: Sequence[str] = (), poll: float = NEVER) -> Iterator[Waiter]:
    """One that has been woken for the beginning, and for what was there before."""
    waiter = Waiter(url, names, poll)
    try:
        yield waiter
    finally:
        waiter.end()


def _all_since(order: Sequence[str], before: int, names: Sequence[str]) -> bool:
    return set(order[before:]) == set(names)


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "log growth"]


def settled(waiter: Waiter, least: int) -> int:
    wait_until(lambda: waiter.count >= least, HANG_SECONDS)
    return waiter.count


def test_an_event_wakes_those_that_name_it_and_those_that_name_none(
    store: Store, migrated: Database
) -> None:
    url = migrated.app_url
    with waiting(url) as any_event:
        settled(any_event, 2)  # once for the beginning, once when the listener began
        with waiting(url, [CREATED]) as created, waiting(url, [RENAMED]) as renamed:
            assert len(listeners()) == 1, "one connection for all of the process"
            counts = any_event.count, settled(created, 1), settled(renamed, 1)
            Scene(store)
            wait_until(lambda: any_event.count > counts[0], HANG_SECONDS)
            wait_until(lambda: created.count > counts[1], HANG_SECONDS)
            assert renamed.count == counts[2]
    wait_until(lambda: not listeners(), HANG_SECONDS)


def test_the_others_are_woken_after_those_that_are_first(migrated: Database, store: Store) -> None:
    names = ("relay", "read models", "webhooks")
    order: list[str] = []
    stop = threading.Event()

    def follow(name: str) -> None:
        wakes = log_growth(migrated.app_url, stop, (CREATED,), NEVER, first=name == "read models")
        order.extend(name for _ in wakes)

    threads = [threading.Thread(target=follow, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: set(order) == set(names), HANG_SECONDS)
        for number in range(12):
            before = len(order)
            store.append([recorded(f"project-{number}", 1, ProjectCreated("p"))])
            wait_until(partial(_all_since, order, before, names), HANG_SECONDS)
            # At first there may also be some that were woken for the beginning.
            assert order[-1] != "read models"
    finally:
        stop.set()
        for thread in threads:
            thread.join(HANG_SECONDS)


def test_without_an_event_it_wakes_after_its_interval(migrated: Database) -> None:
    with waiting(migrated.app_url, [RENAMED], poll=0.01) as waiter:
        wait_until(lambda: waiter.count >= 5, HANG_SECONDS)


def end_connections(database: Database) -> None:
    """As a restart of the server does: all that are open now."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        ended = [pid for (pid,) in admin.execute(f"SELECT pid {others}")]
        admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s) AS pid", (ended,))


def test_events_are_noticed_after_the_connections_were_cut(
    store: Store, migrated: Database
) -> None:
    with waiting(migrated.app_url, [CREATED]) as waiter:
        settled(waiter, 2)
        for _ in range(3):
            end_connections(migrated)
            count = waiter.count
            Scene(store)
            settled(waiter, count + 1)


def test_pools_replace_connections_that_the_server_has_ended(
    store: Store, migrated: Database
) -> None:
    engine = engine_for(migrated.app_url, 1)
    for _ in range(5):
        assert store.head() == 0
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        end_connections(migrated)
    engine.dispose()
