"""Fixtures of the HTTP side: the real application on a real port, and a browser."""

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

from adapters.parts import run_project
from adapters.settings import Settings
from api.app import create_app
from application.store import Store
from tests.api.scene import Scene
from tests.servers import Database

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture
def server(migrated: Database, store: Store, tmp_path: Path) -> Iterator[Scene]:
    """The API and its pages on a free port, with the read models following the log."""
    settings = Settings(
        data=tmp_path, database_url=migrated.app_url, blobs_url=f"file://{tmp_path}/blobs"
    )
    stop = threading.Event()
    project = threading.Thread(target=run_project, args=(settings, store, stop))
    project.start()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            create_app(settings), log_level="warning", timeout_graceful_shutdown=1
        )
        api = uvicorn.Server(config)
        serving = threading.Thread(target=api.run, args=([listening],))
        serving.start()
        try:
            with Scene(f"http://127.0.0.1:{listening.getsockname()[1]}", store) as scene:
                yield scene
        finally:
            api.should_exit = True
            serving.join()
            stop.set()
            project.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium. Of the module only: its loop in this thread is in the way of others."""
    if not Path(CHROMIUM).exists():
        pytest.skip("no Chromium here; `apt-get update && apt-get install -y chromium` gets it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
