"""Where the servers are and how this process should behave, from `STEMMA_*` variables.

A process started beside `stemma up` finds the embedded servers through the file `runtime.json`
in the data folder, which `up` writes; a variable always wins over that file.
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from domain.access.roles import GroupRole, Role

RUNTIME_FILE = "runtime.json"
LOCK_FILE = "lock"
"""Held by the `stemma up` of a data folder for as long as that runs."""


NO_NAME = "is not a valid name on NATS: use up to 64 letters, digits, - and _"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable."""

    exit_status = 2


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """What `stemma up` tells its neighbours: URLs, those of the database with their passwords, a
    key of the API, and the path of the NATS operator's seed."""

    database_url: str
    database_admin_url: str
    nats_url: str
    blobs_url: str
    api_url: str
    api_key: str | None = None
    nats_seed: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a part needs to know. Times are in seconds.

    Only `data` and the API's address have defaults that need no servers; the URLs are required
    through `require`, so that a worker without a database is no error.
    """

    data: Path
    database_url: str | None = None
    database_admin_url: str | None = None
    nats_url: str | None = None
    nats_seed: str = ""
    nats_ca: str = ""
    nats_certificate: str = ""
    nats_key: str = ""
    blobs_url: str | None = None
    api_url: str | None = None
    api_key: str | None = None
    api_host: str = "127.0.0.1"
    api_port: int = 8300
    api_hosts: str = ""
    api_tls_cert: str = ""
    api_tls_key: str = ""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    trusted_proxies: str = ""
    rate_limit: int = 12_000
    streams: int = 100
    connections: int = 500
    failed_sign_ins: int = 60
    max_trainings: int = 0
    worker_name: str = ""
    queue: str = "default"
    device: str = "auto"
    processes: int = 0
    workers: Annotated[int, msgspec.Meta(ge=1)] = 1
    checkpoint_seconds: float = 30.0
    ack_wait_seconds: float = 60.0
    image_cache_bytes: int = 1 << 30
    image_disk_bytes: int = 20 << 30
    decoded: str = ""
    max_upload_bytes: int = 50_000_000
    max_image_pixels: int = 100_000_000
    import_roots: str = ""
    weights: str = ""
    flip_book_versions: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_import_files: int = 2_000_000
    max_import_bytes: int = 200_000_000_000
    signing_key: str = ""
    log_origin: str = ""
    log_checkpoint_events: int = 10_000
    log_checkpoint_seconds: float = 0.5
    webhook_allow: str = ""
    webhook_timeout_seconds: float = 15.0
    webhook_retry_seconds: float = 1.0
    webhook_retry_ceiling_seconds: float = 600.0
    webhook_park_days: float = 5.0
    log_format: Literal["console", "json"] = "console"
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_scopes: str = "openid profile email"
    oidc_label: str = "Sign in with your organisation"
    oidc_default_role: Role | None = None
    oidc_groups_claim: str = "groups"
    oidc_group_roles: str = ""

    def hosts(self) -> tuple[str, ...]:
        """The names of the API's server, as `STEMMA_API_HOSTS` lists them, with commas between."""
        return tuple(host.strip() for host in self.api_hosts.split(",") if host.strip())

    def roots(self) -> tuple[Path, ...]:
        """The folders that imports may read on this machine, as `STEMMA_IMPORT_ROOTS` lists them,
        with colons between."""
        return tuple(Path(root) for root in self.import_roots.split(":") if root)

    def group_roles(self) -> frozenset[GroupRole]:
        """What groups of the identity provider give, as `STEMMA_OIDC_GROUP_ROLES` lists it:
        `group=role` or `group=role@project`, with semicolons between. Raises `SettingsError`."""
        entries = (entry.strip() for entry in self.oidc_group_roles.split(";"))
        return frozenset(_group_role(entry) for entry in entries if entry)

    @property
    def weights_folder(self) -> Path:
        """Where the files of pretrained weights lie: `STEMMA_WEIGHTS`, or in the data folder."""
        return Path(self.weights) if self.weights else self.data / "weights"

    @property
    def signing_key_file(self) -> Path:
        """The log's private key: `STEMMA_SIGNING_KEY`, or in the data folder."""
        audit = self.data / "audit"
        return Path(self.signing_key) if self.signing_key else audit / "signing-key"

    @property
    def checkpoint_file(self) -> Path:
        """What each signed checkpoint of the log is added to, in the data folder."""
        return self.data / "audit" / "checkpoints.txt"

    def environment(self) -> dict[str, str]:
        """The variables that a child process needs to have the same settings; it calls no API."""
        return {
            f"STEMMA_{name.upper()}": str(value)
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None and name != "api_key"
        }

    def require(self, name: str) -> str:
        """The URL named, or a `SettingsError` that says which variable to set."""
        value = getattr(self, name)
        if not value:
            raise SettingsError(
                f"STEMMA_{name.upper()} is not set and no {RUNTIME_FILE} is in {self.data}: set it,"
                " or start everything on this machine with `stemma up`"
            )
        return str(value)


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from the environment and, for what it lacks, from the data folder."""
    data = Path(environ.get("STEMMA_DATA", ".stemma")).absolute()
    there = next(path for path in (data, *data.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise SettingsError(f"STEMMA_DATA is wrong: {there} is not a folder; name one")
    values: dict[str, str] = {"data": str(data)}
    runtime = read_runtime(data)
    if runtime is not None:
        values |= {k: v for k, v in msgspec.structs.asdict(runtime).items() if v is not None}
    if environ.get("STEMMA_NATS_URL"):
        values.pop("nats_seed", None)  # that server does not know it
    fields = {field.name for field in msgspec.structs.fields(Settings)} - {"data"}
    for variable, value in environ.items():
        name = variable.removeprefix("STEMMA_").lower()
        if variable.startswith("STEMMA_") and name in fields and value:
            values[name] = value
    if "database_admin_url" not in values and "database_url" in values:
        values["database_admin_url"] = values["database_url"]
    host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:40]
    values.setdefault("worker_name", f"{host}-{os.getpid()}")
    for name in ("worker_name", "queue"):
        if name in values and not is_name(values[name]):
            raise SettingsError(f"STEMMA_{name.upper()} is wrong: {values[name]!r} {NO_NAME}")
    try:
        settings = msgspec.convert(
            values, Settings, strict=False, dec_hook=lambda _kind, value: Path(value)
        )
    except msgspec.ValidationError as error:
        reason, _, field = str(error).rpartition(" - at `$.")
        raise SettingsError(f"STEMMA_{field.rstrip('`').upper()} is wrong: {reason}") from error
    for name in ("api_port", "metrics_port"):
        port = getattr(settings, name)
        if not 0 <= port <= 65535:
            raise SettingsError(
                f"STEMMA_{name.upper()} is wrong: {port} is not a port from 0 to 65535"
            )
    return settings


def _group_role(entry: str) -> GroupRole:
    # Names of groups may hold `=` and `,`, as those of a directory do.
    group, _, given = entry.rpartition("=")
    role, at, project = (part.strip() for part in given.partition("@"))
    if not group.strip() or role not in set(Role) or (at and not project):
        raise SettingsError(
            f"STEMMA_OIDC_GROUP_ROLES is wrong: {entry!r} is not `group=role` or"
            f" `group=role@project`, where the role is {', '.join(Role)}"
        )
    return GroupRole(group.strip(), Role(role), project or None)


def is_name(text: str) -> bool:
    """Whether a text may stand in a subject of NATS, as a worker's name does."""
    return _NAME.fullmatch(text) is not None


def read_runtime(data: Path) -> Runtime | None:
    """The addresses of the servers that `stemma up` runs on this folder, if it does."""
    try:
        return msgspec.json.decode((data / RUNTIME_FILE).read_bytes(), type=Runtime)
    except FileNotFoundError:
        return None
