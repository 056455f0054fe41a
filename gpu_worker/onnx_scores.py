"""Scores of images by an ONNX file of somebody else's, which is run in a process of its own.

The process has none of the worker's environment. It is killed if it takes too long; its memory is
limited.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapters.images.crops import Sides, crop_edges
from domain.trainers.predicting import MOST_ONNX_BYTES
from gpu_worker.onnx_limits import (
    MOST_MEMORY_BYTES,
    MOST_SECONDS,
    Loaded,
    NotAsAgreed,
    Scored,
)

Answer = TypeVar("Answer", Loaded, Scored)
Pixels = NDArray[np.uint8]

_ROOT = Path(__file__).parents[1]
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""So that threads reserve little of the limited memory."""


class OnnxScores:
    """A running ONNX file. `batch` images are scored at a time."""

    def __init__(self, process: "subprocess.Popen[bytes]", seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._loaded = self._exchange(b"", Loaded, "to be loaded")

    @property
    def batch(self) -> int:
        return self._loaded.batch

    def pixels(self, image: Image.Image, crop: Sides | None = None) -> Pixels:
        """What the file takes of an image, or of a crop of it: resized to its sides, in RGB."""
        if crop is not None:
            image = image.crop(crop_edges(image.size, crop))
        return np.asarray(image.resize((self._loaded.width, self._loaded.height)), np.uint8)

    def scores(self, images: Sequence[Pixels]) -> list[list[float]]:
        """The scores of at most `batch` images, one for each concept. Raises `NotAsAgreed`."""
        missing = self.batch - len(images)
        padding = [np.zeros_like(images[0])] * missing
        batch = np.stack([*images, *padding]).tobytes()
        what = f"for {self.batch} images"
        return self._exchange(batch, Scored, what).scores[: len(images)]

    def _exchange(self, request: bytes, kind: type[Answer], what: str) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if late.is_set():
            raise NotAsAgreed(f"the file took more than {self._seconds:.0f} seconds {what}")
        if not line.endswith(b"\n"):
            status = self._process.wait()
            raise NotAsAgreed(
                f"the process that runs the file ended with status {status}; it may need more than"
                f" {MOST_MEMORY_BYTES >> 30} GiB of memory"
            )
        answer = msgspec.json.decode(line, type=kind)
        if answer.problem:
            raise NotAsAgreed(answer.problem)
        return answer


@contextmanager
def running_onnx(
    path: Path, concepts: int, *, seconds: float = MOST_SECONDS
) -> Iterator[OnnxScores]:
    """Run a file for as long as the context is open. Raises `NotAsAgreed`."""
    size = path.stat().st_size
    if size > MOST_ONNX_BYTES:
        raise NotAsAgreed(f"the file has {size:,} bytes; at most {MOST_ONNX_BYTES:,} can be run")
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_ROOT)} | _ENVIRONMENT
    argv = [sys.executable, "-m", "gpu_worker.onnx_process", str(concepts), str(path.resolve())]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            yield OnnxScores(process, seconds)
        finally:
            process.kill()
