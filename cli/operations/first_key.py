"""Keys that are issued without another key: for commands next to `stemma up`, and the first key."""

import contextlib
import secrets
from pathlib import Path

from adapters.processes.files import write_secret
from application.access.first_key import give_key, opens
from application.log.store import Store
from domain.access.key import ID_DIGITS, key_text, new_secret

KEY_FILE = "api-key"


def new_key() -> str:
    return key_text(secrets.token_hex(ID_DIGITS // 2), new_secret())


def local_key(data: Path, database_url: str) -> tuple[str, bool]:
    """The administrator's key in the data folder, and whether it is new.

    A key that is lost or invalid is replaced. Raises `Conflict` if the
    account `administrator` is closed.
    """
    store = Store(database_url, pool_size=1)
    try:
        stored = ""
        with contextlib.suppress(FileNotFoundError):
            stored = (data / KEY_FILE).read_text(encoding="utf-8").strip()
        if opens(store, stored):
            return stored, False
        key = new_key()
        # Written before it is issued, so that it cannot be lost in between.
        write_secret(data / KEY_FILE, f"{key}\n".encode())
        give_key(store, key, "stemma up")
        return key, True
    finally:
        store.close()
