"""The file of all signed checkpoints, with which the signer avoids contradicting itself."""

import os
from collections.abc import Collection
from pathlib import Path

from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.blobs.objects import fsync
from domain.audit.signed_note import DASH, Malformed, VerifierKey
from domain.audit.transparency import Checkpoint, notes_in

_TAIL_BYTES = 65_536
"""More bytes than two notes with 16 signatures each."""


class SigningRefused(Exception):
    """A signature would contradict an earlier one; the message says how, and what to do."""


class CheckpointFile:
    """A file of notes. Each note is durable before the checkpoint is published."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def last(self, verifiers: Collection[VerifierKey]) -> tuple[Checkpoint, str] | None:
        """The last checkpoint and its note. Raises `SigningRefused` if its signature is not valid.

        An incomplete note after a crash is removed: it was never published.
        """
        if not self.path.exists():
            return None
        with self.path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            notes = list(notes_in(file.read().decode(errors="replace")))
            if notes and not is_whole(notes[-1]):
                file.truncate(size - len(notes.pop().encode()))
                os.fsync(file.fileno())
        if not notes:
            return None
        try:
            return open_checkpoint(notes[-1], verifiers)[0], notes[-1]
        except (Malformed, Unsigned) as error:
            raise SigningRefused(
                f"the last checkpoint in {self.path} was changed since it was signed ({error}):"
                " restore the file from your backup"
            ) from error

    def append(self, note: str) -> None:
        """Append a note. It is durable when this returns."""
        new = not self.path.exists()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, note.encode())
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            fsync(self.path.parent)


def is_whole(note: str) -> bool:
    """Whether a note ends with a signature; a crash can leave the last one of a file incomplete."""
    return note.endswith("\n") and f"\n\n{DASH} " in note
