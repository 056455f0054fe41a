"""The service that runs imports one after the other, each in its own process."""

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.leftovers import delete_leftovers
from adapters.dataset.imports.requested import NOT_NOW, RequestedImport, find_requested
from adapters.postgres.postgres import wake_ups
from adapters.processes.processes import describe_exit
from adapters.settings import Settings
from application.handle import handle
from application.log.store import CHANNEL, AppendRefused, Store
from domain.aggregates import IMPORT
from domain.dataset.imports import REQUESTED, EndImport, ImportFailed, ImportRequested
from domain.event import Recorded, name_of

FEED = "imports"
TRIES = 3
MODULE = "cli.main"
PAUSE = 1.0

log = logging.getLogger(__name__)


def run_imports(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Run requested imports until `stop` is set."""
    url = settings.require("database_url")
    for _ in wake_ups(url, CHANNEL, stop):
        for recorded in store.read(store.tracked(FEED), names=[name_of(ImportRequested)]):
            if not _carry_out(settings, store, recorded, stop):
                break
            with suppress(AppendRefused):  # another process has moved the position already
                store.append([], tracking=(FEED, recorded.position))


def _carry_out(settings: Settings, store: Store, recorded: Recorded, stop: threading.Event) -> bool:
    """Run an import until it has ended. Returns False if `stop` was set before."""
    import_id = recorded.entity_id
    failures = 0
    while not stop.is_set():
        requested, state = find_requested(store, import_id)
        if state.status != REQUESTED:
            # The process may have been killed after it recorded the end.
            blobs = BlobStore.from_url(settings.require("blobs_url"))
            delete_leftovers(blobs, store.database_url, import_id)
            return True
        status = _run_process(settings, import_id, stop)
        if stop.is_set():
            return False
        if status == 0:
            continue
        if status != NOT_NOW:
            failures += 1
            log.error("import %s: %s", import_id, describe_exit(status))
        if failures == TRIES:
            _give_up(store, requested, describe_exit(status))
            continue
        stop.wait(PAUSE)
    return False


def _give_up(store: Store, requested: RequestedImport, how: str) -> None:
    failed = ImportFailed(
        f"the import broke off {TRIES} times, at last so: {how}; perhaps a huge image takes all"
        " memory, the importer's log says more. What it had taken in stays"
    )
    handle(
        store,
        requested.request("end"),
        lambda session: session.decide(IMPORT, requested.import_id, EndImport(failed)),
    )


def _run_process(settings: Settings, import_id: str, stop: threading.Event) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "carry-out-import", import_id],
        env=os.environ | settings.environment(),
    )
    while not stop.is_set():
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.2)
    process.terminate()
    return process.wait()
