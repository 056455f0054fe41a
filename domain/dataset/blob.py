"""Bytes that several images may share, once they are to be erased: first ordered, then done."""

import msgspec

from domain.errors import Conflict
from domain.event import Event


class BlobErasureOrdered(Event, frozen=True, tag="blob.erasure_ordered"):
    """The bytes are to go from wherever they lie; no image takes them in from now on."""

    reason: str


class BlobErased(Event, frozen=True, tag="blob.erased"):
    """The bytes, and what was made of their pixels, were deleted, looked for and not found."""


class Blob(msgspec.Struct, frozen=True):
    """A blob that is erased, and why; one that is not has no events. `gone` says it is done."""

    reason: str
    gone: bool = False


class OrderErasure(msgspec.Struct, frozen=True):
    reason: str


class ConfirmErasure(msgspec.Struct, frozen=True):
    pass


def evolve(blob: Blob | None, event: Event) -> Blob | None:
    match event, blob:
        case BlobErasureOrdered(reason=reason), _:
            return Blob(reason)
        case BlobErased(), Blob():
            return msgspec.structs.replace(blob, gone=True)
    return blob


def decide(command: OrderErasure | ConfirmErasure, blob: Blob | None) -> list[Event]:
    """Ordering an erasure again is no event."""
    if isinstance(command, OrderErasure):
        return [BlobErasureOrdered(command.reason)] if blob is None else []
    return [BlobErased()] if blob is not None and not blob.gone else []


def refuse_erased(blob: Blob | None) -> None:
    """Raises `Conflict` for erased bytes."""
    if blob is not None:
        raise erased_before(blob.reason)


def erased_before(reason: str) -> Conflict:
    """The error for adding an erased image again."""
    return Conflict(f"the image was erased and is not stored again (reason: {reason})")
