"""The folder of NATS' credentials: who there is, their seeds, and what nats-server reads of it."""

import os
import shutil
import signal
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
"""There is one of each, named after its role."""

PROGRAM = "nats-server"
PATIENCE = 10.0
_RELOADED = b"Reloaded server configuration"


class _Known(msgspec.Struct, frozen=True):
    users: list[User] = []
    tls: dict[str, Any] = {}
    with_password: bool = False


class NatsAccess:
    """Users, in `users.json`; a seed for each, in a folder for each role; and in `server` what
    nats-server reads, which is made from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "server" / CONFIGURATION.name
        self._file = folder / "users.json"

    def users(self) -> list[User]:
        return self._read().users

    def seed_file(self, role: NatsRole, name: str = "") -> Path:
        return self.folder / role / f"{name or role}.seed"

    def prepare(self, tls: dict[str, Any] | None = None, with_password: bool | None = None) -> None:
        """Make the users that there must be, and what nats-server reads, from what is known.

        `tls`, and whether the operator may come with a password too, stay as they were if None.
        """
        with waiting_lock(self._file):
            known = self._read()
            there = {user.role for user in known.users}
            made = [self._make(role, role) for role in FIXED if role not in there]
            self._save(
                _Known(
                    [*known.users, *made],
                    known.tls if tls is None else tls,
                    known.with_password if with_password is None else with_password,
                )
            )

    def add(self, role: NatsRole, name: str, queue: str = "default") -> Path:
        """Make a worker or a subscriber; return the file of its seed. Raises `SettingsError`."""
        for said in (name, queue):
            if not is_name(said):
                raise SettingsError(f"{said!r} {NO_NAME}")
        with waiting_lock(self._file):
            known = self._read()
            if any((user.role, user.name) == (role, name) for user in known.users):
                raise SettingsError(f"there is a {role} {name} already; remove it to make it anew")
            made = self._make(role, name, queue)
            self._save(msgspec.structs.replace(known, users=[*known.users, made]))
        return self.seed_file(role, name)

    def ensure_worker(self, name: str, queue: str) -> None:
        """Let a worker of this name in, and to that queue."""
        if all((user.role, user.name) != (NatsRole.WORKER, name) for user in self.users()):
            self.add(NatsRole.WORKER, name, queue)
            return
        with waiting_lock(self._file):
            known = self._read()
            users = [
                msgspec.structs.replace(user, queue=queue)
                if (user.role, user.name) == (NatsRole.WORKER, name)
                else user
                for user in known.users
            ]
            self._save(msgspec.structs.replace(known, users=users))

    def remove(self, role: NatsRole, name: str) -> None:
        """Let nobody in by this name any more. Raises `SettingsError`."""
        with waiting_lock(self._file):
            known = self._read()
            left = [user for user in known.users if (user.role, user.name) != (role, name)]
            if len(left) == len(known.users):
                raise SettingsError(f"there is no {role} {name}; `stemma nats list` says who is")
            self._save(msgspec.structs.replace(known, users=left))
            self.seed_file(role, name).unlink(missing_ok=True)

    def reload(self, server_folder: Path, log: Path) -> bool:
        """Have the nats-server that works in a folder read its configuration again, by which who
        was removed is cut off. False where none runs. Raises `SettingsError` if it refuses."""
        pids = [pid for pid, _ in running_in(PROGRAM, server_folder)]
        # An account that is new gets what it may import only from the second time on (seen with
        # nats-server 2.15.1).
        for pid in pids * 2:
            _read_again(pid, log)
        return bool(pids)

    def _make(self, role: NatsRole, name: str, queue: str = "default") -> User:
        seed = new_seed()
        path = self.seed_file(role, name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(path, f"{seed}\n".encode())
        return User(role, name, public_key(seed), queue)

    def _read(self) -> _Known:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Known)
        except FileNotFoundError:
            return _Known()
        except msgspec.DecodeError as error:
            raise SettingsError(f"{self._file} is not what Stemma writes: {error}") from error

    def _save(self, known: _Known) -> None:
        write_secret(self._file, msgspec.json.format(msgspec.json.encode(known)))
        self.configuration.parent.mkdir(exist_ok=True)
        shutil.copyfile(CONFIGURATION, self.configuration)
        # It holds public keys only, and nats-server may run as somebody else.
        access = self.configuration.with_name("access.conf")
        write_secret(access, configuration(known.users, known.tls, known.with_password).encode())
        access.chmod(0o644)


def _read_again(pid: int, log: Path) -> None:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        os.kill(pid, signal.SIGHUP)
        said = b""

        def taken() -> bool:
            nonlocal said
            said += file.read()
            return _RELOADED in said

        if not wait_until(taken, PATIENCE):
            raise SettingsError(f"nats-server did not take its new configuration; see {log}")
