"""The ONNX file of a version, which a worker makes of its saved checkpoint on request.

It is a job of the queue that trainings are taken from, with deliveries of its own.
"""

import msgspec

from domain.event import Event


class VersionOnnxRequested(Event, frozen=True, tag="version.onnx_requested"):
    """Somebody requested the saved checkpoint as an ONNX file; `number` counts the requests for
    the version from 1."""

    number: int
    checkpoint: str


class VersionOnnxStarted(Event, frozen=True, tag="version.onnx_started"):
    """A worker began to make the file of a request; `delivery` counts how often the queue delivered
    the job."""

    number: int
    delivery: int
    worker: str
    device: str
    environment: dict[str, str]


class VersionOnnxMade(Event, frozen=True, tag="version.onnx_made"):
    """The checkpoint as an ONNX file of `bytes` bytes, which takes RGB pixels as bytes.

    `onnx` is its sha256, by which it lies in the blob store. On `images` of the version's dataset
    its outputs differ from torch's by at most `difference`: a score, or a share of the image.
    """

    number: int
    checkpoint: str
    onnx: str
    bytes: int
    images: int
    difference: float


class VersionOnnxFailed(Event, frozen=True, tag="version.onnx_failed"):
    """The file of a request could not be made, for a reason in the user's words."""

    number: int
    reason: str


class RequestOnnx(msgspec.Struct, frozen=True):
    pass
