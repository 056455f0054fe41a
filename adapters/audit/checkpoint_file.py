"""The file that each signed checkpoint is added to: what the signer knows to have said before."""

import os
from collections.abc import Collection
from pathlib import Path

from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.blobs.objects import fsync
from domain.audit.signed_note import DASH, Malformed, VerifierKey
from domain.audit.transparency import Checkpoint, notes_in

_TAIL_BYTES = 65_536
"""More than the last two notes of a file take, with 16 signatures each."""


class SigningRefused(Exception):
    """To sign would contradict what was signed before; the message says how, and what to do."""


class CheckpointFile:
    """Notes one after another, each on the disk before anyone is told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self, known: Collection[VerifierKey]) -> tuple[Checkpoint, str] | None:
        """The last checkpoint and its note. Raises `Refused` where that is not what was signed.

        A note that a crash left unfinished was never told to anyone: it is cut off.
        """
        if not self.path.exists():
            return None
        with self.path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            notes = list(notes_in(file.read().decode(errors="replace")))
            if notes and not _is_whole(notes[-1]):
                file.truncate(size - len(notes.pop().encode()))
                os.fsync(file.fileno())
        if not notes:
            return None
        try:
            return open_checkpoint(notes[-1], known)[0], notes[-1]
        except (Malformed, Unsigned) as error:
            raise SigningRefused(
                f"the last checkpoint in {self.path} is not as it was signed ({error}): bring the"
                " file back from your backup"
            ) from error

    def append(self, note: str) -> None:
        """Add a note; it is on the disk when this returns."""
        new = not self.path.exists()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, note.encode())
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            fsync(self.path.parent)


def _is_whole(note: str) -> bool:
    return note.endswith("\n") and f"\n\n{DASH} " in note
