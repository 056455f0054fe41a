"""Archives of trainers' code: tar files with gzip, which somebody else wrote, and what differs
between two of them."""

import difflib
import io
import posixpath
import tarfile
import zlib
from collections.abc import Mapping

import msgspec

from domain.errors import Invalid

MOST_ARCHIVE_BYTES = 16 << 20
"""The size of an archive as it is stored."""

MOST_UNPACKED_BYTES = 64 << 20
MOST_FILES = 5_000
LONGEST_DIFF = 400
"""Lines of the difference of a file."""

_MOST_COMPARED_BYTES = 100_000
_MOST_BYTES_IN_ALL = 2_000_000
"""Of texts that are compared line by line: that takes more than linear time."""
_GZIP = 16 + zlib.MAX_WBITS

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


class FileDifference(msgspec.Struct, frozen=True):
    """A file that is not the same in two archives.

    `change` is added, removed or changed. `diff` is a unified diff of a changed text file; None for
    others, and for those that are too large. Of a long one the end is left out.
    """

    path: str
    change: str
    diff: str | None


def read_archive(packed: bytes) -> dict[str, bytes]:
    """The regular files of an archive, by their paths. Raises `Invalid`."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(packed)), mode="r:") as archive:
            files: dict[str, bytes] = {}
            for member in archive:
                if len(files) >= MOST_FILES:
                    raise Invalid(f"the archive has more than {MOST_FILES:,} files", field="body")
                if not member.isfile():
                    raise _refused(f"{member.name[:200]!r} is no regular file")
                path = posixpath.normpath(member.name)
                path.encode()  # a name that is not UTF-8 could not be shown
                if path.startswith(("/", "..")) or path in files or "\0" in path:
                    raise _refused(f"the path {member.name[:200]!r} is not one of its own")
                opened = archive.extractfile(member)
                assert opened is not None
                content = opened.read()
                if len(content) != member.size:
                    raise _refused(f"{path[:200]!r} is cut off")
                files[path] = content
            return files
    except (tarfile.TarError, EOFError, ValueError, OSError, RecursionError) as error:
        raise _refused(f"it cannot be read: {error}") from error


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(packed, MOST_UNPACKED_BYTES)
    except zlib.error as error:
        raise _refused(f"it is not compressed with gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise _refused(f"it unpacks to more than {MOST_UNPACKED_BYTES:,} bytes")
    if not unpacker.eof:
        raise _refused("it is cut off")
    return content


def _refused(problem: str) -> Invalid:
    return Invalid(f"the archive of the code is refused: {problem}", field="body")


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[FileDifference]:
    """The files that differ, by their paths."""
    found = []
    left = _MOST_BYTES_IN_ALL
    for path in sorted({*before, *after}):
        first, second = before.get(path), after.get(path)
        if first == second:
            continue
        if first is None or second is None:
            found.append(FileDifference(path, ADDED if first is None else REMOVED, None))
        else:
            left -= len(first) + len(second)
            diff = _diff(path, first, second) if left >= 0 else None
            found.append(FileDifference(path, CHANGED, diff))
    return found


def _diff(path: str, first: bytes, second: bytes) -> str | None:
    if max(len(first), len(second)) > _MOST_COMPARED_BYTES:
        return None
    try:
        texts = first.decode().splitlines(), second.decode().splitlines()
    except UnicodeDecodeError:
        return None
    lines = list(difflib.unified_diff(*texts, f"first/{path}", f"second/{path}", lineterm=""))
    left = len(lines) - LONGEST_DIFF
    if left > 0:
        lines[LONGEST_DIFF:] = [f"… {left} more lines"]
    return "\n".join(lines)
