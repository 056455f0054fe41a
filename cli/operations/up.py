"""`stemma up`: the servers, the parts and a worker on one machine, supervised."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import click
import httpx
import msgspec

from adapters.nats.jetstream import make_streams
from adapters.nats.login import NatsLogin
from adapters.nats.roles import NatsRole
from adapters.processes.files import write_secret
from adapters.processes.processes import wait_until
from adapters.processes.supervisor import Server, Supervisor
from adapters.servers.embedded import FolderLock, is_held
from adapters.servers.nats import EmbeddedNats, access_in
from adapters.servers.postgres import EmbeddedPostgres
from adapters.services import SERVICES
from adapters.settings import LOCK_FILE, RUNTIME_FILE, Runtime, Settings, load_settings
from cli.operations import demo_lock
from cli.operations.api_port import claimed_port
from cli.torch_here import WHERE, has_torch
from stemma_client.connections import authorities
from stemma_client.proxies import uses_proxy

READY_SECONDS = 60.0


def run_all(
    *,
    port: int | None,
    separate: bool,
    echo: bool,
    stop: threading.Event,
    until_demos_end: bool = False,
) -> None:
    """Run everything until `stop` is set, perhaps by the end of the last demo. Servers that
    `STEMMA_*_URL` names are used as they are.

    Raises `FolderInUse` if another process runs on the data folder.
    """
    began = time.monotonic()
    lock = FolderLock(load_settings().data / LOCK_FILE)
    lock.acquire()
    settings = _own_settings()
    demo_lock.begin(settings.data, stop if until_demos_end else None)
    supervisor = Supervisor(settings.data / "logs", _say, echo=echo)
    if port is None and "STEMMA_API_PORT" in os.environ:
        port = settings.api_port
    try:
        with claimed_port(settings.api_host, port) as api_port:
            runtime = _start_servers(settings, supervisor, api_port)
            _migrate(runtime, stop)
            runtime = msgspec.structs.replace(runtime, api_key=_key(settings.data, runtime))
            write_secret(settings.data / RUNTIME_FILE, msgspec.json.encode(runtime))
            if not has_torch():
                _say(f"no worker is started, since it needs torch: {WHERE}")
            for place, (name, arguments) in enumerate(processes(separate, worker=has_torch())):
                argv = [sys.executable, "-m", "cli.main", *arguments]
                environment = _environment(settings, runtime) | _into_nats(settings, name)
                if name == "worker":
                    environment = _without_stores(environment)
                environment |= metrics_port(settings, place)
                # It hands its job back by the API.
                supervisor.add_process(name, argv, environment, ends_first=name == "worker")
            announce = threading.Thread(target=_announce, args=(runtime, began, stop), daemon=True)
            announce.start()
            supervisor.run(stop)
    finally:
        supervisor.stop()
        (settings.data / RUNTIME_FILE).unlink(missing_ok=True)
        lock.release()


def stop_running(data: Path) -> None:
    """Ask the `stemma up` of a data folder to stop, and wait until it has."""
    lock = data / LOCK_FILE
    # If nobody holds the lock, another process may have the pid in it by now.
    pid = lock.read_text(encoding="utf-8").strip() if is_held(lock) else ""
    if not pid:
        click.echo(f"nothing is running on {data}")
        return
    with suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGTERM)
    stopped = wait_until(lambda: not is_held(lock), 30)
    click.echo("stopped" if stopped else f"process {pid} does not stop; see {data}/logs")


def _own_settings() -> Settings:
    """The settings, once what a killed `up` left in the data folder is out of the way."""
    (load_settings().data / RUNTIME_FILE).unlink(missing_ok=True)
    return load_settings()


def _start_servers(settings: Settings, supervisor: Supervisor, api_port: int) -> Runtime:
    host = settings.api_host
    servers: list[Server] = []
    database_url, admin_url = settings.database_url, settings.database_admin_url
    nats_url, nats_seed = settings.nats_url, settings.nats_seed
    starting: list[Callable[[], None]] = []
    if database_url is None:
        postgres = EmbeddedPostgres(settings.data)
        servers.append(postgres)
        starting.append(postgres.start)
    if nats_url is None:
        nats = EmbeddedNats(settings.data)
        nats.access.ensure_worker(_local_worker(), settings.queue)
        servers.append(nats)
        starting.append(nats.start)
    for server, start in zip(servers, starting, strict=True):
        start()
        supervisor.add_server(server)
    if database_url is None:
        database_url, admin_url = postgres.app_url, postgres.admin_url
    if nats_url is None:
        nats_url = nats.address
        nats_seed = str(nats.access.seed_file(NatsRole.OPERATOR))
        asyncio.run(make_streams(NatsLogin(nats_url, nats_seed)))
    return Runtime(
        database_url=database_url,
        database_admin_url=admin_url or database_url,
        nats_url=nats_url,
        nats_seed=nats_seed,
        blobs_url=settings.blobs_url or (settings.data / "blobs").as_uri(),
        # An address of IPv6 stands in brackets (RFC 3986, section 3.2.2).
        api_url=f"http://{f'[{host}]' if ':' in host else host}:{api_port}",
    )


def _into_nats(settings: Settings, name: str) -> dict[str, str]:
    """The variables by which a process gets into our NATS, each by its own seed. A server that is
    not ours gets this process's own."""
    if settings.nats_url is not None:
        return {}
    access = access_in(settings.data)
    match name:
        case "worker":
            worker = _local_worker()
            seed = access.seed_file(NatsRole.WORKER, worker)
            return {"STEMMA_NATS_SEED": str(seed), "STEMMA_WORKER_NAME": worker}
        case "api":
            return {"STEMMA_NATS_SEED": str(access.seed_file(NatsRole.API))}
    return {"STEMMA_NATS_SEED": str(access.seed_file(NatsRole.BACKEND))}


def metrics_port(settings: Settings, place: int) -> dict[str, str]:
    """The variable for the process at a place: the first one's port is that of the settings."""
    port = settings.metrics_port
    return {"STEMMA_METRICS_PORT": str(port + place)} if port else {}


def _local_worker() -> str:
    """A name that stays, unlike that of the settings: it is a user of NATS."""
    return os.environ.get("STEMMA_WORKER_NAME") or "local"


def _migrate(runtime: Runtime, stop: threading.Event) -> None:
    """Raises `Abort` if `stop` is set while read models that are new are being built."""
    from adapters.postgres.migrate import migrate
    from cli.operations.building import watched

    with watched() as show:

        def watch(read_models: Sequence[tuple[str, int]], end: int) -> None:
            if stop.is_set():
                raise click.Abort
            show(read_models, end)

        migrate(runtime.database_admin_url, runtime.database_url, watch)


def _key(data: Path, runtime: Runtime) -> str | None:
    """The key of commands beside this one; printed once, when it is issued."""
    from cli.operations.first_key import KEY_FILE, local_key
    from domain.errors import Conflict

    try:
        key, is_new = local_key(data, runtime.database_url)
    except Conflict as refused:
        _say(f"other commands need STEMMA_API_KEY: {refused.detail}")
        return None
    if is_new:
        _say(f"the key of the account administrator, shown only once: {key}")
        _say(f"commands on this data folder find it in {data / KEY_FILE}")
    return key


def processes(separate: bool, *, worker: bool = True) -> list[tuple[str, list[str]]]:
    """The names and arguments of what `stemma up` runs, the API last."""
    backend = (
        [(name, [name]) for name in SERVICES] if separate else [("backend", ["parts", *SERVICES])]
    )
    return [*backend, *([("worker", ["worker"])] if worker else []), ("api", ["api"])]


def _environment(settings: Settings, runtime: Runtime) -> dict[str, str]:
    return dict(os.environ) | {
        "STEMMA_DATA": str(settings.data),
        "STEMMA_DATABASE_URL": runtime.database_url,
        "STEMMA_NATS_URL": runtime.nats_url,
        "STEMMA_BLOBS_URL": runtime.blobs_url,
        "STEMMA_API_HOST": settings.api_host,
        # The address in runtime.json is one of plain HTTP.
        "STEMMA_API_TLS_CERT": "",
        "STEMMA_API_TLS_KEY": "",
        "STEMMA_API_PORT": runtime.api_url.rsplit(":", 1)[1],
    }


def _without_stores(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that gets everything by NATS and the API."""
    stores = {"STEMMA_DATABASE_URL", "STEMMA_DATABASE_ADMIN_URL", "STEMMA_BLOBS_URL"}
    return {name: value for name, value in environment.items() if name not in stores}


def _announce(runtime: Runtime, began: float, stop: threading.Event) -> None:
    if wait_ready(runtime.api_url, READY_SECONDS, stop):
        _say(f"ready in {time.monotonic() - began:.1f} s at {runtime.api_url}")
        _say("`stemma login` prints an address that signs your browser in")
    elif not stop.is_set():
        _say(f"the API does not answer after {READY_SECONDS:.0f} s; its log is in the data folder")


def wait_ready(api_url: str, seconds: float, stop: threading.Event | None = None) -> bool:
    """Whether the API answers, its read models included, within some seconds."""

    def ready() -> bool:
        if stop is not None and stop.is_set():
            return True
        try:
            return client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    with httpx.Client(
        base_url=api_url, timeout=2, trust_env=uses_proxy(api_url), verify=authorities(api_url)
    ) as client:
        return wait_until(ready, seconds) and not (stop is not None and stop.is_set())


def _say(line: str) -> None:
    """Print a line for the operator. Its loss, as in a log on a full disk, must not end the
    supervisor."""
    with suppress(OSError):
        click.echo(f"stemma: {line}", err=True)
