"""A set of keys with values on the disk, so that memory does not grow with its size."""

import sqlite3

_CACHE_KB = 8_000


class DiskSet:
    """Keys with the value of their first addition, in a temporary SQLite file."""

    def __init__(self) -> None:
        # With an empty name, SQLite deletes the file when the connection is closed.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE entries (key PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")  # one transaction, since nothing has to be durable

    def add(self, key: str | bytes, value: bytes = b"") -> bytes | None:
        """Add a key. Returns the value that it already has, or None if the key is new."""
        inserted = self._database.execute(
            "INSERT OR IGNORE INTO entries VALUES (?, ?)", (key, value)
        )
        if inserted.rowcount:
            return None
        row: tuple[bytes] = self._database.execute(
            "SELECT value FROM entries WHERE key = ?", (key,)
        ).fetchone()
        return row[0]

    def __contains__(self, key: str | bytes) -> bool:
        row = self._database.execute("SELECT 1 FROM entries WHERE key = ?", (key,)).fetchone()
        return row is not None
