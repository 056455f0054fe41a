"""Fixtures of the HTTP side: the real application on a real port, and a browser."""

import asyncio
import os
import re
import shutil
import socket
import tempfile
import threading
from asyncio import AbstractEventLoop
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar import Litestar
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import Connection, Engine, event

from adapters.parts import run_project
from adapters.servers.postgres import EmbeddedPostgres
from adapters.settings import Settings
from api import backend
from api.app import all_routes, with_settings
from api.backend import Backend
from api.http.connections import server_options
from application.access.first_key import give_key
from application.log.recorder import Rows
from application.log.store import Store
from projections.engine.read_model import ReadModel, Write
from tests.adapters.running import running
from tests.api.dataset.import_scene import MEGABYTE, ImportScene
from tests.api.scene import KEY, Scene
from tests.servers import Database, new_database
from tests.waiting import HANG_MS, HANG_SECONDS

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
"""The one without windows draws the same pages with two thirds of the processor's time."""
FILES = 1024
"""The limit of open files that the server goes by: the usual one."""
READ = re.compile(r"\bread\.\"?(\w+?_v\d+)")
"""The read models whose tables a statement names."""


expect.set_options(timeout=HANG_MS)
_idle: list[Litestar] = []
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture(scope="session", autouse=True)
def queries_name_what_they_read() -> Iterator[None]:
    """A query of a read model that its `reading` does not name is a defect of the server."""
    reading = Backend.reading

    @contextmanager
    def naming(
        backend: Backend, at_least: int | None, *read_models: ReadModel
    ) -> Iterator[tuple[Connection, int]]:
        names = frozenset(one.name for one in read_models)
        with reading(backend, at_least, *read_models) as (connection, position):
            yield connection.execution_options(named=names), position

    def check(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        names = connection.get_execution_options().get("named")
        if names is not None:
            assert set(READ.findall(statement)) <= names

    looking_up = Backend.look_up_each

    def named(
        backend: Backend, at_least: int | None, queries: Sequence[Write], *read_models: ReadModel
    ) -> tuple[Sequence[Rows], int]:
        names = {one.name for one in read_models}
        for query in queries:
            assert set(READ.findall(str(query.statement))) <= names
        return looking_up(backend, at_least, queries, *read_models)

    event.listen(Engine, "before_cursor_execute", check)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backend, "reading", naming)
        patch.setattr(Backend, "look_up_each", named)
        yield
    event.remove(Engine, "before_cursor_execute", check)


@pytest.fixture
def server(migrated: Database, tmp_path: Path) -> Iterator[Scene]:
    """The API and its pages on a free port, on a log without an event; blobs are in `blobs`."""
    with serving(settings_at(migrated, tmp_path)) as scene:
        yield scene


@pytest.fixture(scope="module")
def site(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The same, shared by a module whose tests each make what they look at."""
    folder = tmp_path_factory.mktemp("site")
    with (
        new_database(postgres, migrated_template) as database,
        serving(settings_at(database, folder)) as scene,
    ):
        yield scene


@pytest.fixture(scope="module")
def importing(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImportScene]:
    """The same, with imports carried out: of at most a megabyte, and from the folder `root`."""
    folder = tmp_path_factory.mktemp("importing")
    for name in ("root", "temporary"):
        (folder / name).mkdir()
    with (
        new_database(postgres, migrated_template) as database,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        patch.setenv("TMPDIR", str(folder / "temporary"))
        settings = settings_at(
            database, folder, import_roots=str(folder / "root"), max_import_bytes=MEGABYTE
        )
        with serving(settings) as scene, running(settings, "importer"):
            yield ImportScene(scene, folder)


def settings_at(database: Database, folder: Path, **others: Any) -> Settings:
    return Settings(
        data=folder, database_url=database.app_url, blobs_url=f"file://{folder}/blobs", **others
    )


@contextmanager
def serving(settings: Settings) -> Iterator[Scene]:
    """The application on a free port, with the read models following the log."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(backend, "WAIT_SECONDS", HANG_SECONDS)
        store = stack.enter_context(closing(Store(settings.require("database_url"))))
        give_key(store, KEY, "tests")
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = uvicorn.Config(
            stack.enter_context(an_application(settings)),
            **server_options(settings, FILES),
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        api = uvicorn.Server(config)
        stop = threading.Event()
        threads = [
            threading.Thread(target=run_project, args=(settings, store, stop)),
            threading.Thread(target=api.run, args=([listening],)),
        ]
        for thread in threads:
            thread.start()
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with Scene(url, store, settings) as scene:
                yield scene
        finally:
            stop.set()
            api.should_exit = True
            for thread in threads:
                thread.join()


@contextmanager
def an_application(settings: Settings) -> Iterator[Litestar]:
    """One with all routes, which one after the other may use: they take half a second to make."""
    app = _idle.pop() if _idle else all_routes()
    yield with_settings(app, settings)
    _idle.append(app)


@pytest.fixture(scope="session")
def one_browser() -> Iterator[tuple[Browser, AbstractEventLoop]]:
    """Headless Chromium, and the loop by which Playwright talks to it in this thread."""
    if CHROMIUM is None:
        pytest.skip(
            "no Chromium here: run `apt-get update && apt-get install -y chromium-headless-shell`"
        )
    with sync_playwright() as playwright:
        # Its socket's path has at most 107 characters, and a test's temporary folder may be deep.
        environment: dict[str, str | float | bool] = {**os.environ, "TMPDIR": "/tmp"}
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=QUIET, env=environment, timeout=HANG_MS
        )
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield started, loop
        asyncio._set_running_loop(loop)
        started.close()


@pytest.fixture(scope="module")
def chromium(one_browser: tuple[Browser, AbstractEventLoop]) -> Iterator[Browser]:
    """The browser. Between modules its loop, which waits, does not count as this thread's: it would
    be in the way of others."""
    started, loop = one_browser
    asyncio._set_running_loop(loop)
    yield started
    asyncio._set_running_loop(None)


@pytest.fixture
def page(site: Scene, chromium: Browser) -> Iterator[Page]:
    """A tab of the administrator's that has nothing to complain about."""
    context = chromium.new_context(**site.browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    context.close()
    assert complaints == []
