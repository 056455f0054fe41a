"""What has been met before, of very much: kept on the disk, so that memory does not grow."""

import sqlite3

_CACHE_KB = 8_000


class DiskSet:
    """Keys with what was said at their first meeting, in a temporary file that nobody sees."""

    def __init__(self) -> None:
        # An empty name is a file of SQLite's own, gone when the connection is.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE seen (key PRIMARY KEY, said BLOB NOT NULL) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")  # one transaction, since nothing is kept

    def add(self, key: str | bytes, said: bytes = b"") -> bytes | None:
        """What was said when the key was met first; None if that is now."""
        new = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, said))
        if new.rowcount:
            return None
        found: tuple[bytes] = self._database.execute(
            "SELECT said FROM seen WHERE key = ?", (key,)
        ).fetchone()
        return found[0]
