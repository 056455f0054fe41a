"""The part that carries imports out, one after the other, each in a process of its own."""

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
    """Carry out what is asked for until `stop` is set."""
    url = settings.require("database_url")
    for _ in wake_ups(url, CHANNEL, stop):
        for requested in store.read(store.tracked(FEED), names=[name_of(ImportRequested)]):
            if not _carry_out(settings, store, requested, stop):
                break
            with suppress(AppendRefused):  # another process moved it: it does the same work
                store.append([], tracking=(FEED, requested.position))


def _carry_out(
    settings: Settings, store: Store, requested: Recorded, stop: threading.Event
) -> bool:
    """Whether the import has ended, and the next one's turn has come."""
    import_id = requested.entity_id
    died = 0
    while not stop.is_set():
        asked, state = find_requested(store, import_id)
        if state.status != REQUESTED:
            # It may have been killed after its last word.
            blobs = BlobStore.from_url(settings.require("blobs_url"))
            delete_leftovers(blobs, store.database_url, import_id)
            return True
        status = _in_a_process(settings, import_id, stop)
        if stop.is_set():
            return False
        if status == 0:
            continue
        if status != NOT_NOW:
            died += 1
            log.error("import %s: %s", import_id, describe_exit(status))
        if died == TRIES:
            _give_up(store, asked, describe_exit(status))
            continue
        stop.wait(PAUSE)
    return False


def _give_up(store: Store, asked: RequestedImport, how: str) -> None:
    failed = ImportFailed(
        f"the import broke off {TRIES} times, at last so: {how}; perhaps a huge image takes all"
        " memory, the importer's log says more. What it had taken in stays"
    )
    handle(
        store,
        asked.request("end"),
        lambda session: session.decide(IMPORT, asked.import_id, EndImport(failed)),
    )


def _in_a_process(settings: Settings, import_id: str, stop: threading.Event) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "carry-out-import", import_id],
        env=os.environ | settings.environment(),
    )
    while not stop.is_set():
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.2)
    process.terminate()
    return process.wait()
