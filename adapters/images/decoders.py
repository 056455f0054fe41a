"""Processes that decode untrusted images: so many at once, with limited memory and time."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TypeVar, cast

import msgspec

from adapters.images.child import (
    AnyTask,
    Hash,
    Inspect,
    Outcome,
    Result,
    Small,
    receive,
    send,
)
from adapters.images.decoding import Inspected, Undecodable
from adapters.images.small import Made

AT_ONCE = 2
IDLE_SECONDS = 60.0
"""A process that has nothing to decode for so long ends."""

LONGEST_SECONDS = 120.0

_BASE_BYTES = 256 << 20
_BYTES_PER_PIXEL = 20
"""The most that a format takes is 16.3, by WebP (docs/decisions/0040)."""

_ENDED: Outcome = (Result(refused="the decoder keeps failing; try again"), b"")

Found = TypeVar("Found")


def memory_for(max_pixels: int) -> int:
    """The limit of a process's memory, in bytes, enough for every image of so many pixels."""
    return _BASE_BYTES + _BYTES_PER_PIXEL * max_pixels


class Decoder:
    """A process that decodes, started when it is needed. It belongs to one thread."""

    def __init__(self, max_pixels: int, seconds: float) -> None:
        self._max_pixels = max_pixels
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def inspect(self, data: bytes) -> Inspected:
        """`decoding.inspect`. Raises `Undecodable`."""
        result, _ = self._carry_out(Inspect(self._max_pixels), data)
        return Inspected(result.width, result.height, result.highest_grey)

    def small(self, data: bytes, *, longest: int, lossless: bool, grey_bits: int | None) -> Made:
        """`small.small`. Raises `Undecodable`."""
        task = Small(self._max_pixels, longest, lossless, grey_bits)
        result, made = self._carry_out(task, data)
        return Made(made, result.depends_on_depth)

    def perceptual_hash(self, data: bytes) -> int | None:
        """`perceptual.perceptual_hash`. Raises `Undecodable`."""
        return self._carry_out(Hash(self._max_pixels), data)[0].perceptual_hash

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _carry_out(self, task: AnyTask, data: bytes) -> Outcome:
        result, made = self._ask(task, data) or self._ask(task, data) or _ENDED
        if result.no_memory:
            self.close()  # its memory is in pieces
            raise Undecodable(
                f"it takes more than {memory_for(self._max_pixels) >> 20:,} MiB of memory to"
                " decode; store it with fewer pixels or in another format"
            )
        if result.refused is not None:
            raise Undecodable(result.refused)
        return result, made

    def _ask(self, task: AnyTask, data: bytes) -> Outcome | None:
        """The outcome; None if the process had ended as it was idle. Raises `Undecodable`."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._process = _start(self._max_pixels)
        process = self._process
        timer = threading.Timer(self._seconds, process.kill)
        timer.start()
        try:
            send(cast(IO[bytes], process.stdin), task, data)
            message, made = receive(cast(IO[bytes], process.stdout))
        except (BrokenPipeError, EOFError):
            self.close()
            if process.returncode == 0:
                return None
            raise Undecodable(
                f"the decoder ended with status {process.returncode}, after at most"
                f" {self._seconds:.0f} s; save the image again, or in another format"
            ) from None
        finally:
            timer.cancel()
        return msgspec.json.decode(message, type=Result), made


def _start(max_pixels: int) -> subprocess.Popen[bytes]:
    arguments = [str(memory_for(max_pixels)), str(IDLE_SECONDS)]
    return subprocess.Popen(
        [sys.executable, "-m", "adapters.images.child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # NumPy's library would start threads, each with memory of its own.
        env=dict(os.environ) | {"OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    )


class Decoders:
    """So many decoders at once as there are; who waits for one holds no thread of others."""

    def __init__(
        self, max_pixels: int, *, at_once: int = AT_ONCE, seconds: float = LONGEST_SECONDS
    ) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="decoder")
        self._free = [Decoder(max_pixels, seconds) for _ in range(at_once)]

    async def run(self, work: Callable[[Decoder], Found]) -> Found:
        """What `work` returns, carried out in a thread of the decoders' once one is free."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._with_decoder, work)

    def _with_decoder(self, work: Callable[[Decoder], Found]) -> Found:
        decoder = self._free.pop()  # there are as many as threads
        try:
            return work(decoder)
        finally:
            self._free.append(decoder)

    def close(self) -> None:
        """End the processes, once what they do is done."""
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._free:
            decoder.close()
