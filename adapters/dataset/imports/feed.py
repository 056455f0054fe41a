"""The service that runs imports one after the other, each in its own process."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from signal import SIGKILL

from adapters.blobs.blobs import ROOM_BYTES, BlobStore
from adapters.dataset.imports.leftovers import delete_leftovers
from adapters.dataset.imports.requested import DISK_FULL, NOT_NOW, RequestedImport, find_requested
from adapters.postgres.log_growth import log_growth
from adapters.processes.processes import describe_exit
from adapters.settings import Settings
from application.handle import handle
from application.log.store import AppendRefused, Store
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
    requested = [name_of(ImportRequested)]
    for _ in log_growth(url, stop, requested):
        for recorded in store.read(store.tracked(FEED), names=requested):
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
        status, reason = _run_process(settings, import_id, stop)
        if stop.is_set():
            return False
        if status == 0:
            continue
        if status == DISK_FULL:
            # While there is no room, this part fails, which its health shows, and begins again.
            _check_room(settings)
        if status != NOT_NOW:
            failures += 1
            log.error("import %s: %s", import_id, reason)
        if failures == TRIES:
            _give_up(store, requested, reason)
            continue
        stop.wait(PAUSE)
    return False


def _give_up(store: Store, requested: RequestedImport, how: str) -> None:
    failed = ImportFailed(
        f"the import was interrupted {TRIES} times, the last time because {how}. The importer's"
        " log has details; what was already imported stays"
    )
    handle(
        store,
        requested.request("end"),
        lambda session: session.decide(IMPORT, requested.import_id, EndImport(failed)),
    )


def _check_room(settings: Settings) -> None:
    """Raises `OSError` while the blob store or the folder of temporary files has no room."""
    BlobStore.from_url(settings.require("blobs_url")).check_room()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(ROOM_BYTES))
        file.flush()


def _run_process(settings: Settings, import_id: str, stop: threading.Event) -> tuple[int, str]:
    """The exit status of an import's process, and why it was not 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "carry-out-import", import_id],
        env=os.environ | settings.environment(),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    # The process prints a line at most, so the pipe takes it before it is read.
    while not stop.is_set():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            break
    else:
        process.terminate()
    output, _ = process.communicate()
    return process.returncode, output.strip() or _ending(process.returncode)


def _ending(status: int) -> str:
    """Why a process ended that had no time to say so."""
    ending = f"its process ended by {describe_exit(status)}"
    return (
        f"{ending}; a very large image may have used all memory" if status == -SIGKILL else ending
    )
