"""A client in several threads and processes, and waits whose server is gone."""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stemma_client import Stemma, TrainingFailed, WaitTimeout
from stemma_client.asynchronous import AsyncStemma
from tests.api.client import proxy as doing
from tests.api.client.proxy import Proxy
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_SECONDS

TIMES = 20


@pytest.fixture
def client(site: Scene) -> Iterator[Stemma]:
    with Stemma(site.url, KEY, patience=HANG_SECONDS) as made:
        yield made


def test_a_forked_process_never_reads_the_answers_of_another(client: Stemma) -> None:
    """Both would read from one connection, and each take what comes."""
    mine, other = (client.projects.create(name) for name in ("Parent's", "Child's"))
    child = os.fork()
    if child == 0:
        try:
            right = all(client.project(other.id).name == "Child's" for _ in range(TIMES))
        except BaseException:
            right = False
        os._exit(0 if right else 1)
    assert {client.project(mine.id).name for _ in range(TIMES)} == {"Parent's"}
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_threads_share_a_client(client: Stemma) -> None:
    names = [f"Thread {number}" for number in range(TIMES)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(client.projects.create, names))
    assert [one.name for one in made] == names
    assert client.position >= max(client.project(one.id).row.created_position for one in made)


def test_what_is_ensured_at_once_is_made_once(client: Stemma) -> None:
    labels = [f"concept {number}" for number in range(5)]

    def ensure(_: int) -> tuple[str, set[str]]:
        view = client.projects.ensure("At once").views.ensure("species", concepts=labels)
        return view.id, {*view.concepts}

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(ensure, range(12)))
    assert len({view_id for view_id, _ in made}) == 1
    assert {frozenset(concepts) for _, concepts in made} == {frozenset(labels)}


def test_a_wait_has_its_deadline_though_the_server_is_gone(site: Scene) -> None:
    _, view = site.trainable("Gone")
    version_id = site.version(view)
    with Proxy(site.url).running() as between, Stemma(between.url, KEY, patience=600) as patient:
        run = patient.version(version_id)
        between.rule = lambda _: doing.cut_before
        began = time.monotonic()
        with pytest.raises(WaitTimeout, match="check that the server is running"):
            run.wait(timeout=1.5)
        assert time.monotonic() - began < HANG_SECONDS


def test_a_short_timeout_does_not_end_a_long_poll(site: Scene) -> None:
    """The server holds the answer for longer than the client waits for others."""
    _, view = site.trainable("Held")
    with Stemma(site.url, KEY, timeout=0.5, patience=HANG_SECONDS) as hasty:
        run = hasty.version(site.version(view))
        run.look(1.0)
        assert not run.ended


def test_the_asynchronous_wait_names_a_failed_training(client: Stemma, site: Scene) -> None:
    _, view = site.trainable("Fails")
    run = client.version(site.version(view)).cancel()

    async def wait() -> None:
        async with AsyncStemma(site.url, KEY, patience=HANG_SECONDS) as waiting:
            await waiting.wait(run.id)

    with pytest.raises(TrainingFailed, match="is cancelled") as failed:
        asyncio.run(wait())
    assert failed.value.row.version_id == run.id


def test_a_cell_shows_what_it_has_though_the_server_is_gone(site: Scene) -> None:
    with Proxy(site.url).running() as between, Stemma(between.url, KEY, patience=0) as hasty:
        project = hasty.projects.create("Shown")
        between.rule = lambda _: doing.cut_before
        assert "check that the server is running" in project._repr_html_()
