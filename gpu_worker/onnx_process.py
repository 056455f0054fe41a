"""`python -m gpu_worker.onnx_process CONCEPTS FILE`: runs an ONNX file of somebody else's.

On standard input come batches: as many RGB pixels of 8 bits as `Loaded` says, (batch, height,
width, 3). On standard output a line of JSON answers each: `Loaded` at the beginning, then `Scored`.
The process has neither credentials nor a large memory, and writes no file.
"""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from gpu_worker.onnx_limits import (
    CONTRACT,
    MOST_BATCH,
    MOST_BATCH_PIXELS,
    MOST_MEMORY_BYTES,
    MOST_SECONDS,
    MOST_SIDE,
    MOST_THREADS,
    Loaded,
    NotAsAgreed,
    Scored,
)

_LONGEST_SECONDS = 2 * int(MOST_SECONDS)
"""After which the process ends itself: nobody is left to end it, if the worker was killed."""

_ROUNDING = 1e-5
"""By how much a sum of 32-bit numbers may leave the range of scores."""


class Network:
    """The network of a file. Raises `NotAsAgreed` for one that takes something else."""

    def __init__(self, path: Path, concepts: int) -> None:
        self._concepts = concepts
        content = path.read_bytes()
        try:
            _refuse_other_files(onnx.load_model_from_string(content))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = min(os.cpu_count() or 1, MOST_THREADS)
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except NotAsAgreed:
            raise
        except Exception as error:  # onnxruntime and protobuf have no common class of their errors
            raise NotAsAgreed(f"the file cannot be loaded: {error}") from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        agreed = len(shape) == 4 and shape[3] == 3 and all(type(one) is int for one in shape[1:3])
        if not agreed or inputs[0].type != "tensor(uint8)":
            found = ", ".join(f"{one.type} {one.shape}" for one in inputs)
            raise NotAsAgreed(f"the file takes {found or 'nothing'}; needed is {CONTRACT}")
        count, height, width, _ = shape
        if not (0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE):
            raise NotAsAgreed(f"the file takes {height} by {width} pixels; at most {MOST_SIDE} fit")
        fixed = type(count) is int
        most = max(1, min(MOST_BATCH, MOST_BATCH_PIXELS // (height * width)))
        if fixed and not 0 < count <= most:
            raise NotAsAgreed(
                f"the file takes {count} images of {height} by {width} pixels at a time; at most"
                f" {most} fit"
            )
        self._input = inputs[0].name
        self.loaded = Loaded(height, width, count if fixed else most, fixed)

    def scores(self, pixels: NDArray[np.uint8]) -> list[list[float]]:
        """Raises `NotAsAgreed`."""
        try:
            (first, *_) = self._session.run(None, {self._input: pixels})
        except Exception as error:  # as above
            raise NotAsAgreed(f"the file cannot be run: {error}") from error
        output: Any = np.asarray(first)
        needed = (len(pixels), self._concepts)
        if output.shape != needed or output.dtype.kind != "f":
            raise NotAsAgreed(
                f"the file gives {output.dtype} of shape {output.shape}; scores of shape"
                f" (n, {self._concepts}) are needed, one for each concept"
            )
        scores = output.astype(np.float64)
        if not np.isfinite(scores).all():
            raise NotAsAgreed("the file gives a score that is not a finite number")
        wrong = scores[(scores < -_ROUNDING) | (scores > 1 + _ROUNDING)]
        if len(wrong):
            raise NotAsAgreed(
                f"the file gives the score {wrong[0]:.4g}; scores are from 0 to 1: put the softmax"
                " or sigmoid into the network"
            )
        kept: list[list[float]] = scores.clip(0, 1).tolist()
        return kept


def _refuse_other_files(model: Any) -> None:
    """Raises `NotAsAgreed` for a file that would read others."""
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (
            message.external_data or message.data_location == onnx.TensorProto.EXTERNAL
        ):
            raise NotAsAgreed("the file has its weights in other files; save them inside of it")


def _messages(message: Any) -> Iterator[Any]:
    """A message of protocol buffers, and all that are in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(one)


def _serve(network: Network, requests: BinaryIO, answers: BinaryIO) -> None:
    loaded = network.loaded
    shape = (loaded.batch, loaded.height, loaded.width, 3)
    size = int(np.prod(shape))
    while len(content := requests.read(size)) == size:
        signal.alarm(_LONGEST_SECONDS)
        pixels = np.frombuffer(content, np.uint8).reshape(shape)
        answers.write(msgspec.json.encode(Scored(network.scores(pixels))) + b"\n")
        answers.flush()
        signal.alarm(0)


def main(concepts: int, path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS refuses a limit of address space
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    signal.alarm(_LONGEST_SECONDS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    loaded = False
    try:
        network = Network(path, concepts)
        answers.write(msgspec.json.encode(network.loaded) + b"\n")
        answers.flush()
        signal.alarm(0)
        loaded = True
        _serve(network, sys.stdin.buffer, answers)
    except (NotAsAgreed, MemoryError) as error:
        problem = str(error) or f"the file takes more than {MOST_MEMORY_BYTES >> 30} GiB of memory"
        answer = Scored(problem=problem) if loaded else Loaded(problem=problem)
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
