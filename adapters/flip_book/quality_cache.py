"""The label quality of predictions files, computed by processes of their own."""

import logging
import subprocess
import sys
import threading
from contextlib import suppress

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.flip_book.label_quality import LabelQuality, result_key

FIRST_WAIT_SECONDS = 2.0

log = logging.getLogger(__name__)


class LabelQualities:
    """Stored label quality by digest; what is missing is computed, one file at a time.

    Safe to use from many threads.
    """

    def __init__(self, blobs: BlobStore, blobs_url: str) -> None:
        self._blobs, self._blobs_url = blobs, blobs_url
        self._lock = threading.Lock()
        self._running: tuple[str, subprocess.Popen[bytes]] | None = None
        self._failed: set[str] = set()

    def get(self, digest: str) -> LabelQuality | None:
        """The label quality of a predictions file; None while it is computed, and if it cannot be.

        The first caller waits for it, for up to two seconds.
        """
        key = result_key(digest)
        stored = self._blobs.get_derived(key)
        if stored is None:
            self._compute(digest)
            stored = self._blobs.get_derived(key)
        return None if stored is None else msgspec.json.decode(stored, type=LabelQuality)

    def has_failed(self, digest: str) -> bool:
        """Whether the process that was to compute it failed; it is not tried again."""
        return digest in self._failed

    def close(self) -> None:
        with self._lock:
            if self._running is not None:
                _, process = self._running
                process.kill()
                process.wait()
                self._running = None

    def _compute(self, digest: str) -> None:
        with self._lock:
            self._reap()
            if digest in self._failed or self._running is not None:
                return
            process = self._start(digest)
            self._running = digest, process
        with suppress(subprocess.TimeoutExpired):
            process.wait(FIRST_WAIT_SECONDS)
        with self._lock:
            self._reap()

    def _start(self, digest: str) -> subprocess.Popen[bytes]:
        module = "adapters.flip_book.label_quality"
        return subprocess.Popen(
            [sys.executable, "-m", module, self._blobs_url, digest],
            # The process ends when this pipe is closed, at the latest when this process ends.
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _reap(self) -> None:
        if self._running is None:
            return
        digest, process = self._running
        if process.poll() is None:
            return
        if process.returncode != 0:
            log.error("the label quality of %s failed: %s", digest, process.returncode)
            self._failed.add(digest)
        if process.stdin is not None:
            process.stdin.close()
        self._running = None
