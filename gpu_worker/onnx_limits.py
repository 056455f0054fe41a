"""What an ONNX file of somebody else's may take, and how the process that runs it is talked to."""

import msgspec

MOST_MEMORY_BYTES = 8 << 30
"""Address space of the process, for the file, its weights and what is between them."""

MOST_SECONDS = 120.0
"""For loading the file, and for the scores of a batch."""

MOST_SIDE = 4096
MOST_BATCH = 16
MOST_BATCH_PIXELS = 1 << 23
MOST_THREADS = 8

CONTRACT = "one input tensor(uint8) of shape (n, height, width, 3) with fixed sides"


class NotAsAgreed(Exception):
    """The file takes or gives something else, or more than it may take."""


class Loaded(msgspec.Struct, frozen=True):
    """The first answer of the process: the sides of its input, and the images of a batch. With
    `fixed` it takes no fewer."""

    height: int = 0
    width: int = 0
    batch: int = 0
    fixed: bool = False
    problem: str = ""


class Scored(msgspec.Struct, frozen=True):
    """The answer for a batch: scores of each image, (images, concepts)."""

    scores: list[list[float]] = []
    problem: str = ""
