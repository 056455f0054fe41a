"""Derived entries of the blob store that are computed by processes of their own.

A computation that takes seconds and much memory must not stop, nor fail with, the process that
serves its result.
"""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from adapters.blobs.blobs import BlobStore

FIRST_WAIT_SECONDS = 2.0
"""How long the first caller waits for a result."""

log = logging.getLogger(__name__)


class DerivedEntries:
    """The results of one module's computation by key; a missing one is computed, one at a time.

    The module calls `run_computation`. Safe to use from many threads.
    """

    def __init__(self, blobs: BlobStore, blobs_url: str, module: str) -> None:
        self._blobs, self._blobs_url, self._module = blobs, blobs_url, module
        self._lock = threading.Lock()
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None
        self._failed: set[str] = set()

    def get(self, key: str, *arguments: str) -> bytes | None:
        """The entry, which the module computes from the arguments; None while it is computed,
        and if it cannot be."""
        stored = self._blobs.get_derived(key)
        if stored is None:
            self._compute(key, arguments)
            stored = self._blobs.get_derived(key)
        return stored

    def has_failed(self, key: str) -> bool:
        """Whether the process that was to compute the entry failed; it is not tried again."""
        return key in self._failed

    def close(self) -> None:
        with self._lock:
            if self._running is not None:
                _, process = self._running
                process.kill()
                process.wait()
                self._running = None

    def _compute(self, key: str, arguments: tuple[str, ...]) -> None:
        with self._lock:
            self._reap()
            if key in self._failed or self._running is not None:
                return
            process = self._start(arguments)
            self._running = key, process
        with suppress(subprocess.TimeoutExpired):
            process.wait(FIRST_WAIT_SECONDS)
        with self._lock:
            self._reap()

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", self._module, self._blobs_url, *arguments],
            # The process ends when this pipe is closed, at the latest when this process ends.
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _reap(self) -> None:
        if self._running is None:
            return
        key, process = self._running
        if process.poll() is None:
            return
        if process.returncode != 0:
            log.error("%s failed for %s: exit status %s", self._module, key, process.returncode)
            self._failed.add(key)
        if process.stdin is not None:
            process.stdin.close()
        self._running = None


def run_computation(compute: Callable[..., None]) -> None:
    """Call `compute` with this process's arguments: the address of the blob store, and those of
    `DerivedEntries.get`. The process ends with its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    compute(*sys.argv[1:])


def _end_with_parent() -> None:
    """Exit when standard input closes: the parent has its other end and never writes."""
    os.read(0, 1)
    os._exit(1)
