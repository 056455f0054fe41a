"""Streams packed with zstd (RFC 8878), a bounded piece at a time in both directions."""

from collections.abc import Iterable, Iterator
from typing import IO, cast

import zstandard

LEVEL = 3
MAX_WINDOW = 1 << 27
"""Bytes of history a frame may ask us to hold while it is unpacked."""

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
    """The content of a frame in pieces of a quarter megabyte, however much one chunk holds.

    A frame that is cut off ends early without an error: compare a digest. Raises `UnpackError`.
    """
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    return iter(unpacker.read_to_iter(cast(IO[bytes], _File(chunks)), write_size=PIECE))


class _File:
    """An iterator of chunks as far as zstandard takes it for a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = next(self._chunks, b"")
        piece, self._left = self._left[:size], self._left[size:]
        return piece
