"""Backends of PostgreSQL die under many clients: what was acknowledged is in the log, once."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from domain.dataset.project import ProjectCreated
from tests.api.scene import Scene
from tests.system.system import eventually

CLIENTS, KILLS, BETWEEN = 16, 5, 40

_KILL = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""


# Services that are not run by `run_parts` are not begun again.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_each_acknowledged_command_is_in_the_log_once(site: Scene) -> None:
    acknowledged: list[tuple[str, int, str]] = []
    stop = threading.Event()

    def write(client: int) -> None:
        with httpx.Client(base_url=site.url, headers=site.http.headers, timeout=60) as http:
            number = 0
            while not stop.is_set():
                number += 1
                name = f"{client}/{number}"
                answer = http.post("/api/v1/projects", json={"name": name})
                if answer.is_success:
                    told = answer.json()
                    acknowledged.append((told["id"], told["position"], name))
                else:
                    assert answer.status_code == 503, answer.text

    def more() -> None:
        count = len(acknowledged) + BETWEEN
        eventually(lambda: len(acknowledged) >= count, "acknowledged commands")

    with (
        ThreadPoolExecutor(CLIENTS) as threads,
        psycopg.connect(site.settings.require("database_url"), autocommit=True) as admin,
    ):
        writing = [threads.submit(write, number) for number in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                more()
                admin.execute(_KILL)
            more()
        finally:
            stop.set()
        for each in writing:
            each.result()
    log = list(site.store.read_all())
    assert [one.position for one in log] == [*range(1, len(log) + 1)]
    created: dict[str, tuple[int, str]] = {}
    for one in log:
        if isinstance(one.event, ProjectCreated):
            created[one.entity_id] = one.position, one.event.name
    for project_id, told, name in acknowledged:
        # One that was saved as its backend died is told the log's end, when it is looked up.
        position, saved = created[project_id]
        assert saved == name
        assert position <= told
    names = Counter(name for _, name in created.values())
    assert set(names.values()) == {1}, "nothing was saved twice, acknowledged or not"
