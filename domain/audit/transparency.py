"""The event log as a transparency log: its leaves, and the checkpoints that commit to them.

Leaf number `position - 1` is the entry of the event at `position`. A checkpoint (C2SP
tlog-checkpoint) is a signed note that contains the root of the tree over the first `size` entries.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from domain.audit.merkle import HASH_BYTES
from domain.audit.signed_note import DASH, Malformed, decode64, encode64

ENTRY = "stemma-event/v1"
MAX_ENTRY_BYTES = 65_535
"""The largest length that a bundle of C2SP tlog-tiles can state for an entry."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Entry(msgspec.Struct, frozen=True):
    """The content of a leaf about an event; `digest` is the sha256 of its stored JSON, as hex."""

    position: int
    stream: str
    revision: int
    name: str
    digest: str

    def __bytes__(self) -> bytes:
        return _entry(self.position, self.stream, self.revision, self.name, self.digest)


def log_entry(position: int, stream: str, revision: int, name: str, state: bytes) -> bytes:
    """The canonical entry of an event whose stored JSON is `state`: six lines of UTF-8.

    It contains the JSON's digest instead of the JSON: an entry is short, and a payload can be
    removed from a copy while its proof stays. Raises `ValueError` for a stream or name with a line
    feed, and for an entry that is too long.
    """
    return _entry(position, stream, revision, name, sha256(state).hexdigest())


def _entry(position: int, stream: str, revision: int, name: str, digest: str) -> bytes:
    if "\n" in stream or "\n" in name:
        raise ValueError(f"event {position} has a line feed in its stream or name")
    entry = f"{ENTRY}\n{position}\n{stream}\n{revision}\n{name}\n{digest}\n".encode()
    if len(entry) > MAX_ENTRY_BYTES:
        raise ValueError(f"event {position} has a stream or name that is too long")
    return entry


class Checkpoint(msgspec.Struct, frozen=True):
    """The root over the first `size` entries of the log that `origin` names."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """A note's text as a checkpoint. Raises `Malformed`, also for extension lines."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise Malformed("a checkpoint is three lines: origin, size and root")
    if not _NUMBER.fullmatch(lines[1]):
        raise Malformed(f"{lines[1][:40]!r} is not the size of a log")
    root = decode64(lines[2])
    if len(root) != HASH_BYTES:
        raise Malformed(f"a root must have {HASH_BYTES} bytes, got {len(root)}")
    return Checkpoint(lines[0], int(lines[1]), root)


def notes_in(content: str) -> Iterator[str]:
    """The notes of the checkpoints in a file's content, in order; see `notes_of`."""
    return notes_of(_LINE.findall(content))


def notes_of(text: Iterable[str]) -> Iterator[str]:
    """The notes of the checkpoints in a file's lines, in order.

    Empty lines between notes are ignored. An incomplete last note is yielded as it is.
    """
    lines: list[str] = []
    signed = False
    for line in text:
        signature = line.startswith(DASH)
        if signed and not signature:
            yield "".join(lines)
            lines = []
        signed = signature
        if lines or line.strip():
            lines.append(line)
    if lines:
        yield "".join(lines)
