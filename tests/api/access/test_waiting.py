"""Queries that wait for a position: they hold no thread, and an account has so many at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from adapters.postgres.news import News
from adapters.servers.postgres import EmbeddedPostgres
from api.access import waiting
from api.access.limits import Rate
from api.backend import THREADS, Backend
from domain.access.account import account_id
from projections.dataset.dataset import DATASET
from projections.engine.read_model import ReadModel
from tests.adapters.running import eventually
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import Database, new_database
from tests.waiting import HANG_SECONDS

AT_ONCE = 2 * THREADS


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    with new_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture(scope="module")
def busy(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("busy")
    with serving(settings_at(database, folder, streams=AT_ONCE)) as scene:
        yield scene


@contextmanager
def nothing_projected(database: Database) -> Iterator[None]:
    """The read model of images can be read, and not written."""
    with psycopg.connect(database.admin_url) as connection:
        for table in DATASET.metadata.sorted_tables:
            connection.execute(f"LOCK TABLE {table.fullname} IN SHARE MODE".encode())
        yield


def test_queries_that_wait_are_in_nobodys_way_and_are_limited(
    busy: Scene, database: Database
) -> None:
    project = busy.project("Waited for")
    other = busy.person("omar", "viewer")
    busy.visible()
    path = f"/api/v1/projects/{project}/images"

    def images(client: httpx.Client, at_least: int) -> httpx.Response:
        return client.get(path, params={"at_least": at_least})

    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        with nothing_projected(database):
            busy.images(project, 1)
            head = busy.store.head()
            asked = [threads.submit(images, busy.http, head) for _ in range(AT_ONCE + 1)]
            eventually(lambda: any(one.done() for one in asked))
            (refused,) = (one.result() for one in asked if one.done())
            assert other.get(path).is_success, "threads and connections are free"
        answers = [one.result() for one in asked]
    assert refused.status_code == 429
    assert "STEMMA_STREAMS" in refused.json()["detail"]
    assert refused.headers["Retry-After"] == "5"
    answers.remove(refused)
    assert [one.json()["position"] >= head for one in answers] == [True] * AT_ONCE
    assert images(busy.http, head).is_success, "there is room again"


def test_a_query_that_waited_counts_once(
    busy: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita = busy.person("rita", "viewer")
    project = busy.project("Counted")
    busy.visible()
    taken, take = [], Rate.take

    def counting(rate: Rate, account: str) -> None:
        taken.append(account)
        take(rate, account)

    monkeypatch.setattr(Rate, "take", counting)
    with ThreadPoolExecutor(1) as threads:
        with nothing_projected(database):
            busy.images(project, 1)
            asked = {"at_least": busy.store.head()}
            path = f"/api/v1/projects/{project}/images"
            waiting = threads.submit(rita.get, path, params=asked)
            eventually(lambda: account_id("rita") in taken)
        assert waiting.result().is_success
    assert taken.count(account_id("rita")) == 1


def test_a_query_is_run_once_where_its_route_was_behind_before(
    busy: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SHORTLY_SECONDS", HANG_SECONDS)
    project = busy.project("Read once")
    busy.visible()
    path = f"/api/v1/projects/{project}/images"
    runs: list[int] = []
    require = Backend.require

    def counted(backend: Backend, position: int, *read_models: ReadModel) -> None:
        runs.append(position)
        require(backend, position, *read_models)

    monkeypatch.setattr(Backend, "require", counted)
    for first in (True, False):
        # Through the server, which then knows that the log has come so far.
        with ThreadPoolExecutor(1) as threads:
            with nothing_projected(database):
                head = busy.post("/projects", {"name": "Written"})["position"]
                runs.clear()
                asked = threads.submit(busy.http.get, path, params={"at_least": head})
                if first:
                    eventually(lambda: bool(runs))
            assert asked.result().is_success
        if not first:
            assert runs == [head]


def test_positions_that_never_come_are_in_nobodys_way(busy: Scene) -> None:
    other = busy.person("olga", "viewer")
    absurd = {"at_least": 4611686018427387904}
    with ThreadPoolExecutor(50) as threads:
        asked = [
            threads.submit(busy.http.get, "/api/v1/projects", params=absurd) for _ in range(300)
        ]
        assert other.get("/api/v1/projects").is_success
        assert {one.result().status_code for one in asked} == {422}


def test_who_writes_sees_it_without_naming_a_position(busy: Scene, database: Database) -> None:
    project = busy.project("Seen by its writer")
    other = busy.person("otto", "viewer")
    busy.visible()
    path = f"/api/v1/projects/{project}/images"
    with ThreadPoolExecutor(1) as threads:
        with nothing_projected(database):
            busy.images(project, 2)
            asked = threads.submit(busy.http.get, path)
            assert other.get(path).json()["items"] == [], "others do not wait"
            assert not asked.done()
        assert len(asked.result().json()["items"]) == 2


def test_what_does_not_become_visible_is_not_waited_for_again(
    busy: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "REMEMBERED_SECONDS", 0.1)
    waited, reached = [], News.reached

    async def counting(news: News, *arguments: Any) -> bool:
        waited.append(arguments)
        return await reached(news, *arguments)

    monkeypatch.setattr(News, "reached", counting)
    project = busy.project("Not seen")
    busy.visible()
    path = f"/api/v1/projects/{project}/images"
    with nothing_projected(database):
        busy.images(project, 1)
        answers = [busy.http.get(path) for _ in range(3)]
    assert [answer.json()["items"] for answer in answers] == [[], [], []]
    long = [arguments for arguments in waited if arguments[2] != waiting.SHORTLY_SECONDS]
    assert len(long) == 1


def test_a_writer_whose_queries_are_too_many_is_answered_without_waiting(
    busy: Scene, database: Database
) -> None:
    project = busy.project("Too many")
    busy.visible()
    path = f"/api/v1/projects/{project}/images"
    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        with nothing_projected(database):
            busy.images(project, 1)
            asked = [threads.submit(busy.http.get, path) for _ in range(AT_ONCE + 1)]
            eventually(lambda: any(one.done() for one in asked))
            (early,) = (one.result() for one in asked if one.done())
            assert early.json()["items"] == []
        answers = [one.result() for one in asked]
    assert [len(answer.json()["items"]) for answer in answers if answer is not early] == [
        1
    ] * AT_ONCE
