"""Versions' predictions held in memory for a while, with the facts that follow from them alone."""

import logging
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.evaluation import figures
from adapters.evaluation.answers import Answers, Boxes
from adapters.evaluation.coco import CocoPrecision, result_key
from adapters.evaluation.figures import ConceptFacts
from adapters.evaluation.loading import load_blob

HELD_BYTES = 128_000_000
"""Of predictions, at most; the last ones asked for are held however large they are."""

FIRST_WAIT_SECONDS = 1.5

log = logging.getLogger(__name__)


class Facts(msgspec.Struct, frozen=True):
    """The facts of each concept, in order; not `complete` while COCO's are being worked out."""

    concepts: list[ConceptFacts]
    complete: bool


class Predictions:
    """By digest, since what is under a digest never changes. Safe to use from many threads."""

    def __init__(self, blobs: BlobStore, blobs_url: str) -> None:
        self._blobs = blobs
        self._held: OrderedDict[str, Answers] = OrderedDict()
        self._facts: dict[tuple[str, str], list[ConceptFacts]] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._coco = _CocoProcesses(blobs_url)

    def close(self) -> None:
        self._coco.close()

    def get(self, digest: str) -> Answers:
        """The predictions under a digest. Raises `BlobMissing`, `BlobCorrupt`,
        `PredictionsUnreadable`."""
        with self._loading:
            found = self._held.get(digest)
            if found is None:
                found = self._held[digest] = load_blob(self._blobs, digest)
                self._drop_oldest()
            self._held.move_to_end(digest)
            return found

    def facts(self, digest: str, split: str) -> Facts:
        """What does not depend on thresholds. COCO's figures come later if they take long."""
        key = digest, split
        with self._lock:
            found = self._facts.get(key)
            if found is None:
                answers = self.get(digest)
                within = answers.images.in_split(split)
                concepts = range(len(answers.concepts))
                found = [figures.facts(answers, concept, within) for concept in concepts]
                self._facts[key] = found
        answers = self.get(digest)
        if not isinstance(answers, Boxes) or not found or _known(found):
            return Facts(found, True)
        precisions = self._coco_of(digest, split)
        if precisions is None:
            return Facts(found, self._coco.has_failed(digest, split))
        whole = [
            msgspec.structs.replace(
                one, average_precision=coco.at_50, average_precision_coco=coco.average
            )
            for one, coco in zip(found, precisions, strict=True)
        ]
        self._facts[key] = whole
        return Facts(whole, True)

    def _coco_of(self, digest: str, split: str) -> list[CocoPrecision] | None:
        kept = self._blobs.get_derived(result_key(digest, split))
        if kept is None:
            self._coco.work_out(digest, split, FIRST_WAIT_SECONDS)
            kept = self._blobs.get_derived(result_key(digest, split))
        return None if kept is None else msgspec.json.decode(kept, type=list[CocoPrecision])

    def _drop_oldest(self) -> None:
        while len(self._held) > 1 and sum(one.size for one in self._held.values()) > HELD_BYTES:
            self._held.popitem(last=False)


def _known(facts: list[ConceptFacts]) -> bool:
    return any(one.average_precision is not None for one in facts)


class _CocoProcesses:
    """One process at a time works COCO's figures out; who asks meanwhile asks again later."""

    def __init__(self, blobs_url: str) -> None:
        self._blobs_url = blobs_url
        self._lock = threading.Lock()
        self._running: tuple[tuple[str, str], subprocess.Popen[bytes]] | None = None
        self._failed: set[tuple[str, str]] = set()

    def has_failed(self, digest: str, split: str) -> bool:
        return (digest, split) in self._failed

    def work_out(self, digest: str, split: str, seconds: float) -> None:
        """Have the figures worked out; who is first waits for them a little."""
        key = digest, split
        with self._lock:
            self._reap()
            if key in self._failed:
                return
            if self._running is not None:
                return
            process = self._start(digest, split)
            self._running = key, process
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with self._lock:
            self._reap()

    def close(self) -> None:
        with self._lock:
            if self._running is not None:
                _, process = self._running
                process.kill()
                process.wait()
                self._running = None

    def _start(self, digest: str, split: str) -> subprocess.Popen[bytes]:
        module = "adapters.evaluation.coco"
        return subprocess.Popen(
            [sys.executable, "-m", module, self._blobs_url, digest, split],
            # It ends when this is closed, which it is at the latest when we end.
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
            log.error("COCO's figures of %s (%s) ended with %s", *key, process.returncode)
            self._failed.add(key)
        if process.stdin is not None:
            process.stdin.close()
        self._running = None
