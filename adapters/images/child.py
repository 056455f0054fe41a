"""The process in which images are decoded: tasks come on standard input, one after the other.

Started by `decoders.py` as `python -m adapters.images.child BYTES IDLE`. It ends with its parent,
whose end closes standard input, and after IDLE seconds without a task.
"""

import os
import resource
import select
import struct
import sys
from typing import IO, Protocol

import msgspec

from adapters.images.decoding import Undecodable, inspect
from adapters.images.perceptual import perceptual_hash
from adapters.images.small import small

NICENESS = 10

FRAME = struct.Struct(">II")
"""The sizes of a message, as JSON, and of the bytes behind it."""


class Task(msgspec.Struct, frozen=True, tag_field="task"):
    """A task about the image whose bytes follow."""

    max_pixels: int


class Inspect(Task, frozen=True, tag="inspect"):
    """`decoding.inspect`."""


class Small(Task, frozen=True, tag="small"):
    """`small.small`."""

    longest: int
    lossless: bool
    grey_bits: int | None


class Hash(Task, frozen=True, tag="hash"):
    """`perceptual.perceptual_hash`."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of a task; an image's bytes may follow. `refused` is why it is not decodable."""

    width: int = 0
    height: int = 0
    highest_grey: int | None = None
    depends_on_depth: bool = False
    perceptual_hash: int | None = None
    refused: str | None = None
    no_memory: bool = False


AnyTask = Inspect | Small | Hash
Outcome = tuple[Result, bytes]


def carry_out(task: AnyTask, data: bytes) -> Outcome:
    """The outcome of a task; a file that is not decodable is one, too."""
    try:
        match task:
            case Inspect():
                found = inspect(data, task.max_pixels)
                return Result(found.width, found.height, found.highest_grey), b""
            case Hash():
                return Result(perceptual_hash=perceptual_hash(data, task.max_pixels)), b""
            case Small():
                made = small(
                    data,
                    task.max_pixels,
                    longest=task.longest,
                    lossless=task.lossless,
                    grey_bits=task.grey_bits,
                )
                return Result(depends_on_depth=made.depends_on_depth), made.data
    except Undecodable as error:
        return Result(refused=str(error)), b""
    except MemoryError:
        return Result(no_memory=True), b""


def send(file: IO[bytes], message: msgspec.Struct, data: bytes) -> None:
    """Write a message and the bytes behind it."""
    head = msgspec.json.encode(message)
    file.write(FRAME.pack(len(head), len(data)) + head)
    file.write(data)
    file.flush()


class Readable(Protocol):
    """A file to read from; less than `size` bytes come only at its end."""

    def read(self, size: int, /) -> bytes: ...


def receive(file: Readable) -> tuple[bytes, bytes]:
    """Read a message and the bytes behind it. Raises `EOFError` at the end."""
    head = file.read(FRAME.size)
    if len(head) < FRAME.size:
        raise EOFError
    sizes = FRAME.unpack(head)
    message, data = file.read(sizes[0]), file.read(sizes[1])
    if (len(message), len(data)) != sizes:
        raise EOFError
    return message, data


class Unbuffered:
    """A file descriptor; `select` would not know of what is in a buffer."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size and (piece := os.read(self._descriptor, size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def run(memory: int, idle: float) -> None:
    """Carry out tasks until standard input ends, or none came for `idle` seconds."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Requests that need no image go first.
    os.nice(NICENESS)
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    decoder: msgspec.json.Decoder[AnyTask] = msgspec.json.Decoder(AnyTask)
    tasks = Unbuffered(0)
    while select.select([tasks], [], [], idle)[0]:
        try:
            message, data = receive(tasks)
        except EOFError:
            return
        send(answers, *carry_out(decoder.decode(message), data))


if __name__ == "__main__":
    run(int(sys.argv[1]), float(sys.argv[2]))
