"""The image files of an import, validated and stored in a pool of processes.

Decoding untrusted bytes is most of the work and all of the risk. The pool uses every core, and a
decoder that kills its process only breaks the import.
"""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TypeVar

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.blobs.staging import Staging
from adapters.shortage import shortage
from adapters.uploads.image_files import ImageLimits, accept_image
from domain.errors import Invalid

AHEAD = 3
"""Batches per process that are submitted in advance."""

PROCESSES = os.cpu_count() or 1

Item = TypeVar("Item")
Result = TypeVar("Result")


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A valid image file: the sha256 of its bytes, and its upright size in pixels.

    `highest_grey` is the highest value of 16-bit grey. Other images leave it out: the JSON is part
    of a fingerprint (see `Ready`).
    """

    blob: str
    width: int
    height: int
    highest_grey: int | None = None


class SourceChanged(Exception):
    """A file has changed since it was validated."""


class ImagePool:
    """A pool of processes that validates and stores files of one folder, by their paths in it."""

    def __init__(self, executor: ProcessPoolExecutor, files: "_Files") -> None:
        self._executor = executor
        self._files = files

    def check(self, batches: Iterable[Sequence[str]]) -> Iterator[list[Checked | str]]:
        """The result for each file, or the reason why it is refused, batch by batch.

        What is valid is staged, if the pool stages files: then no file is read again.
        """
        return self._map(partial(_check, self._files), batches)

    def store(self, batches: Iterable[Sequence[tuple[str, str]]]) -> Iterator[None]:
        """Store files that were checked, each a path and a sha256.

        Raises `SourceChanged` if a file has to be read again and its sha256 differs.
        """
        return self._map(partial(_store, self._files), batches)

    def _map(self, work: Callable[[Item], Result], batches: Iterable[Item]) -> Iterator[Result]:
        """As `Executor.map`, but it reads only a few batches in advance."""
        remaining = iter(batches)
        first = islice(remaining, PROCESSES * AHEAD)
        pending = deque(self._executor.submit(work, batch) for batch in first)
        while pending:
            result = pending.popleft().result()
            pending.extend(self._executor.submit(work, batch) for batch in islice(remaining, 1))
            yield result


class _Files(msgspec.Struct, frozen=True):
    """The files of a folder, the store that they are for, and the name of the place in it where
    they are staged; None if they are not."""

    folder: Path
    limits: ImageLimits
    blobs_url: str
    staged_as: str | None

    def staging(self) -> Staging | None:
        return None if self.staged_as is None else _blobs(self.blobs_url).staging(self.staged_as)


@contextmanager
def image_pool(
    folder: Path, limits: ImageLimits, blobs_url: str, staged_as: str | None
) -> Iterator[ImagePool]:
    """A pool with a process per core. Its methods raise `BrokenProcessPool` if a process dies."""
    with ProcessPoolExecutor(
        PROCESSES, mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as executor:
        try:
            yield ImagePool(executor, _Files(folder, limits, blobs_url, staged_as))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Exit when the parent does: a process of the pool would wait forever for work."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _check(files: _Files, paths: Sequence[str]) -> list[Checked | str]:
    folder, staging = str(files.folder), files.staging()
    results: list[Checked | str] = []
    for path in paths:
        try:
            data = _read(f"{folder}/{path}", files.limits)
            file = accept_image(path.rpartition("/")[2], data, files.limits)
        except Invalid as refusal:
            results.append(refusal.detail)
        except OSError as error:
            if shortage(error):
                raise
            results.append(f"the file cannot be read: {error.strerror}")
        else:
            digest = file.digest if staging is None else staging.write(data)
            results.append(Checked(digest, file.width, file.height, file.highest_grey))
    return results


def _store(files: _Files, checked: Sequence[tuple[str, str]]) -> None:
    blobs, staging = _blobs(files.blobs_url), files.staging()
    for path, blob in checked:
        if staging is not None:
            blobs.put_staged(staging, blob)
            continue
        try:
            data = _read(f"{files.folder}/{path}", files.limits)
        except OSError as error:
            if shortage(error):
                raise
            raise SourceChanged(f"{path} cannot be read any more: {error.strerror}") from error
        if blobs.put(data) != blob:
            raise SourceChanged(f"{path} changed during the import")
    blobs.flush()


@lru_cache(maxsize=1)
def _blobs(url: str) -> BlobStore:
    """The store of this process, cached: opening one takes longer than storing a small image."""
    return BlobStore.from_url(url)


def _read(path: str, limits: ImageLimits) -> bytes:
    with io.BufferedReader(io.FileIO(path)) as file:
        size = os.fstat(file.fileno()).st_size
        # One more byte, in case it grows. Room for `max_bytes` takes longer to make than to read.
        return file.read(min(size, limits.max_bytes) + 1)
