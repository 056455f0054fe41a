"""The files of the log's keys: a private one that only its owner can read, and a public one.

During a rotation the private file holds both keys, the new one first. The next checkpoint is signed
by both, and then the old one is deleted.
"""

import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adapters.audit.signing import new_key, parse_signing_key
from adapters.blobs.objects import fsync
from adapters.processes.files import waiting_lock, write_secret
from adapters.settings import SettingsError
from domain.audit.signed_note import (
    Malformed,
    SigningKey,
    VerifierKey,
    checked_name,
    parse_verifier_key,
)

PUBLIC = "verifier-keys.txt"


class Keys:
    """The keys at a path, which are generated at the first use."""

    def __init__(self, path: Path, origin: str = "") -> None:
        """`origin` names a log that has no key yet; if it is empty, the name is random."""
        self.path = path
        self.public_path = path.with_name(PUBLIC)
        self._origin = origin

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock on these keys, with which processes sign or change them."""
        with waiting_lock(self.path):
            yield

    def signing(self) -> list[SigningKey]:
        """The keys to sign with, the current one first. Call it with the lock held.

        Raises `SettingsError` if the file is missing, readable by others, or not a key.
        """
        if not self.path.exists():
            if self.public_path.exists():
                raise SettingsError(
                    f"{self.path} is missing, but {self.public_path} shows that it existed:"
                    " restore it from your backup. A log that is signed by a new key looks like a"
                    " forged one to your auditors: if you want a new key all the same, move both"
                    " files away"
                )
            self._save([new_key(self._name())])
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            raise SettingsError(f"{self.path} can be read by others: chmod 600 it")
        try:
            keys = [
                parse_signing_key(line) for line in self.path.read_text(encoding="utf-8").split()
            ]
        except Malformed as error:
            raise SettingsError(f"{self.path}: {error}") from error
        if not keys:
            raise SettingsError(f"{self.path} is empty: restore it from your backup")
        self._publish(keys)
        return keys

    def rotate(self) -> VerifierKey:
        """Generate a new key. Only the next checkpoint is also signed by the old one."""
        with self.locked():
            keys = self.signing()
            new = new_key(keys[0].verifier.name)
            self._save([new, *keys])
            self._publish([new])
        return new.verifier

    def retire(self, keys: Sequence[SigningKey]) -> None:
        """Delete all keys except the first. Call it with the lock held."""
        self._save(keys[:1])

    def verifiers(self) -> list[VerifierKey]:
        """All public keys of the log, including earlier ones."""
        return read_verifier_keys(self.public_path)

    def _name(self) -> str:
        try:
            return checked_name(self._origin or f"stemma.local/{secrets.token_hex(8)}")
        except Malformed as error:
            raise SettingsError(f"STEMMA_LOG_ORIGIN is wrong: {error}") from error

    def _save(self, keys: Sequence[SigningKey]) -> None:
        write_secret(self.path, "".join(f"{key}\n" for key in keys).encode())
        fsync(self.path.parent)

    def _publish(self, keys: Sequence[SigningKey]) -> None:
        published = self.verifiers() if self.public_path.exists() else []
        missing = [key.verifier for key in reversed(keys) if key.verifier not in published]
        if missing:
            content = "".join(f"{key}\n" for key in [*published, *missing])
            write_secret(self.public_path, content.encode())
            self.public_path.chmod(0o644)


def read_verifier_keys(path: Path) -> list[VerifierKey]:
    """The public keys of a file, one per line. Raises `SettingsError`."""
    try:
        return [parse_verifier_key(line) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, UnicodeDecodeError, Malformed) as error:
        raise SettingsError(f"no public keys can be read from {path}: {error}") from error
