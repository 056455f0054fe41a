"""Compression of streams with zstd (RFC 8878), in bounded chunks in both directions."""

from collections.abc import Iterable, Iterator
from typing import IO, cast

import zstandard

LEVEL = 3
MAX_WINDOW = 1 << 27
"""The largest window of a frame in bytes."""

PIECE = 1 << 18

UnpackError = zstandard.ZstdError


def pack(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One zstd frame with a checksum."""
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()


def unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a frame, in pieces of a quarter megabyte for chunks of any size.

    A truncated frame ends early without an error: compare a digest. Raises `UnpackError`.
    """
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    return iter(unpacker.read_to_iter(cast(IO[bytes], _File(chunks)), write_size=PIECE))


class _File:
    """An iterator of chunks with the file methods that zstandard uses."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._remaining = b""

    def read(self, size: int) -> bytes:
        if not self._remaining:
            self._remaining = next(self._chunks, b"")
        piece, self._remaining = self._remaining[:size], self._remaining[size:]
        return piece
