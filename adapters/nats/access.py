"""The folder of NATS credentials: users, their seeds, and the configuration for nats-server."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.nats.login import new_seed, public_key
from adapters.nats.roles import NatsRole, User, configuration
from adapters.processes.files import waiting_lock, write_secret
from adapters.processes.processes import running_in, wait_until
from adapters.settings import NO_NAME, SettingsError, is_name

CONFIGURATION = Path(__file__).with_name("nats-server.conf")
FIXED = (NatsRole.OPERATOR, NatsRole.BACKEND, NatsRole.API)
"""Roles with exactly one user, named after the role."""

PROGRAM = "nats-server"
PATIENCE = 10.0
_RELOADED = b"Reloaded server configuration"


class _Access(msgspec.Struct, frozen=True):
    users: list[User] = []
    tls: dict[str, Any] = {}
    with_password: bool = False


class NatsAccess:
    """Users in `users.json`, their seeds in a folder for each role, and the configuration for
    nats-server in `server`, which is made from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "server" / CONFIGURATION.name
        self._file = folder / "users.json"

    def users(self) -> list[User]:
        return self._read().users

    def seed_file(self, role: NatsRole, name: str = "") -> Path:
        return self.folder / role / f"{name or role}.seed"

    def prepare(self, tls: dict[str, Any] | None = None, with_password: bool | None = None) -> None:
        """Create the fixed users that are missing, and the configuration for nats-server.

        `tls` and `with_password` (the operator may also use a password) stay unchanged if None.
        """
        with waiting_lock(self._file):
            access = self._read()
            roles = {user.role for user in access.users}
            new = [self._make(role, role) for role in FIXED if role not in roles]
            self._save(
                _Access(
                    [*access.users, *new],
                    access.tls if tls is None else tls,
                    access.with_password if with_password is None else with_password,
                )
            )

    def add(self, role: NatsRole, name: str, queue: str = "default") -> Path:
        """Create a worker or a subscriber; return the file of its seed. Raises `SettingsError`."""
        for value in (name, queue):
            if not is_name(value):
                raise SettingsError(f"{value!r} {NO_NAME}")
        with waiting_lock(self._file):
            access = self._read()
            if any((user.role, user.name) == (role, name) for user in access.users):
                raise SettingsError(
                    f"{role} {name} already exists; remove it first to create it again"
                )
            user = self._make(role, name, queue)
            self._save(msgspec.structs.replace(access, users=[*access.users, user]))
        return self.seed_file(role, name)

    def ensure_worker(self, name: str, queue: str) -> None:
        """Create a worker of this name if it is missing, and give it that queue."""
        if all((user.role, user.name) != (NatsRole.WORKER, name) for user in self.users()):
            self.add(NatsRole.WORKER, name, queue)
            return
        with waiting_lock(self._file):
            access = self._read()
            users = [
                msgspec.structs.replace(user, queue=queue)
                if (user.role, user.name) == (NatsRole.WORKER, name)
                else user
                for user in access.users
            ]
            self._save(msgspec.structs.replace(access, users=users))

    def has_worker(self, name: str) -> bool:
        """Whether a worker of this name was created here, not by the API."""
        own = (NatsRole.WORKER, name)
        return any((user.role, user.name) == own and not user.issued for user in self.users())

    def sync(self, issued: Callable[[], Sequence[User]]) -> bool:
        """Let in exactly these of the users whose seeds the API made; whether that is a change.

        They are read while nobody else writes, so that the last to write has seen the newest. A
        worker that was created here keeps its name: one of that name is left out.
        """
        with waiting_lock(self._file):
            access = self._read()
            made_here = [user for user in access.users if not user.issued]
            taken = {(user.role, user.name) for user in made_here}
            users = [
                *made_here,
                *(user for user in issued() if (user.role, user.name) not in taken),
            ]
            if users == access.users:
                return False
            self._save(msgspec.structs.replace(access, users=users))
            return True

    def remove(self, role: NatsRole, name: str) -> None:
        """Remove a user and its seed. Raises `SettingsError`."""
        with waiting_lock(self._file):
            access = self._read()
            others = [user for user in access.users if (user.role, user.name) != (role, name)]
            if any(user.issued for user in access.users if user not in others):
                raise SettingsError(
                    f"the API issued the seed of {role} {name}: `stemma trainers revoke-seed`"
                    " revokes it"
                )
            if len(others) == len(access.users):
                raise SettingsError(f"{role} {name} not found; `stemma nats list` lists all")
            self._save(msgspec.structs.replace(access, users=others))
            self.seed_file(role, name).unlink(missing_ok=True)

    def reload(self, server_folder: Path, log: Path) -> bool:
        """Make the nats-server that runs in a folder reload its configuration, which disconnects
        removed users. False if none runs. Raises `SettingsError` if the reload fails."""
        pids = [pid for pid, _ in running_in(PROGRAM, server_folder)]
        # A new account gets its imports only with the second reload (seen with nats-server 2.15.1).
        for pid in pids * 2:
            _reload(pid, log)
        return bool(pids)

    def _make(self, role: NatsRole, name: str, queue: str = "default") -> User:
        seed = new_seed()
        path = self.seed_file(role, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, f"{seed}\n".encode())
        return User(role, name, public_key(seed), queue)

    def _read(self) -> _Access:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Access)
        except FileNotFoundError:
            return _Access()
        except msgspec.DecodeError as error:
            raise SettingsError(
                f"{self._file} is not in the form that Stemma writes: {error}"
            ) from error

    def _save(self, access: _Access) -> None:
        write_secret(self._file, msgspec.json.format(msgspec.json.encode(access)))
        self.configuration.parent.mkdir(exist_ok=True)
        shutil.copyfile(CONFIGURATION, self.configuration)
        # It contains only public keys, and nats-server may run as another user.
        file = self.configuration.with_name("access.conf")
        write_secret(file, configuration(access.users, access.tls, access.with_password).encode())
        file.chmod(0o644)


def _reload(pid: int, log: Path) -> None:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        os.kill(pid, signal.SIGHUP)
        output = b""

        def reloaded() -> bool:
            nonlocal output
            output += file.read()
            return _RELOADED in output

        if not wait_until(reloaded, PATIENCE):
            raise SettingsError(f"nats-server did not take its new configuration; see {log}")
