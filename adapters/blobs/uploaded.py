"""Which files were uploaded for a view or a version, in the table `work.uploaded_files`.

The blob store has one space of digests for all projects, and a digest is no secret. Whoever may
name a file has uploaded it: its bytes are the proof that it may be read.
"""

from datetime import datetime

import psycopg
from sqlalchemy import Engine, text

_NOTE = text("""
    INSERT INTO work.uploaded_files (stream, blob) VALUES (:stream, :blob)
    ON CONFLICT (stream, blob) DO UPDATE SET at = now()
""")
_FIND = text("SELECT 1 FROM work.uploaded_files WHERE stream = :stream AND blob = :blob")


class UploadedFiles:
    """The uploads of an installation, shared by its processes. Safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, stream: str, digest: str) -> None:
        """Note that a file was uploaded and stored."""
        with self._engine.begin() as connection:
            connection.execute(_NOTE, {"stream": stream, "blob": digest})

    def has(self, stream: str, digest: str) -> bool:
        """Whether a file was uploaded for this stream."""
        with self._engine.connect() as connection:
            row = connection.execute(_FIND, {"stream": stream, "blob": digest}).first()
        return row is not None


def forget_uploads(connection: psycopg.Connection, before: datetime) -> None:
    """Forget uploads of before a time: an event names their files, or they are collected."""
    connection.execute("DELETE FROM work.uploaded_files WHERE at < %s", [before])
