"""`stemma nats`: users and credentials of NATS."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from adapters.nats.access import NatsAccess

_Folder = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="The folder of the credentials; by default nats/access in the data folder.",
)
_Kind = click.argument("kind", type=click.Choice(["worker", "subscriber"]))


@click.group()
def nats() -> None:
    """Manage the credentials for NATS."""


@nats.command()
@_Folder
@click.option("--worker", "workers", multiple=True, help="Also create this worker.")
@click.option("--queue", default="default", show_default=True, help="The queue of these workers.")
@click.option(
    "--tls-certificate", help="PEM file of the certificate, as a path on nats-server's machine."
)
@click.option("--tls-key", help="PEM file of its private key.")
@click.option("--tls-client-ca", help="Require client certificates signed by this CA.")
def init(
    folder: Path | None,
    workers: tuple[str, ...],
    queue: str,
    tls_certificate: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
) -> None:
    """Create credentials for the operator, the backend and the API, and nats-server's
    configuration.

    Existing credentials are kept. TLS settings are kept unless you give new ones.
    """
    if bool(tls_certificate) != bool(tls_key) or (tls_client_ca and not tls_certificate):
        raise click.UsageError(
            "--tls-certificate and --tls-key must be given together, and --tls-ca only with them"
        )
    access = _access(folder)
    tls: dict[str, Any] | None = None
    if tls_certificate:
        tls = {"cert_file": tls_certificate, "key_file": tls_key}
        if tls_client_ca:
            tls |= {"ca_file": tls_client_ca, "verify": True}
    access.prepare(tls)
    for worker in workers:
        access.ensure_worker(worker, queue)
    click.echo(f"nats-server reads {access.configuration}")
    _reload(access, folder)


@nats.command()
@_Kind
@click.argument("name")
@click.option("--queue", default="default", show_default=True, help="The queue of a worker.")
@_Folder
def add(kind: str, name: str, queue: str, folder: Path | None) -> None:
    """Create credentials for a worker or a subscriber, and write the file of its seed."""
    from adapters.nats.roles import NatsRole

    access = _access(folder)
    click.echo(f"the seed of {kind} {name} is in {access.add(NatsRole(kind), name, queue)}")
    _reload(access, folder)


@nats.command("list")
@_Folder
def list_command(folder: Path | None) -> None:
    """List credentials."""
    for user in _access(folder).users():
        queue = f" (queue {user.queue})" if user.role == "worker" else ""
        click.echo(f"{user.role} {user.name}{queue} {user.key}")


@nats.command()
@_Kind
@click.argument("name")
@_Folder
def remove(kind: str, name: str, folder: Path | None) -> None:
    """Revoke the credentials of a worker or a subscriber.

    It is disconnected at once if this nats-server reads the configuration.
    """
    from adapters.nats.roles import NatsRole

    access = _access(folder)
    access.remove(NatsRole(kind), name)
    click.echo(f"{kind} {name} is removed")
    _reload(access, folder)


@nats.command()
@_Folder
def sync(folder: Path | None) -> None:
    """Let in the workers of trainers whose seeds the API has issued, and cut off revoked ones.

    It reads the event log. `stemma up` does it by itself.
    """
    from adapters.settings import load_settings
    from adapters.training.trainer_seeds import sync_seeds
    from application.log.store import Store

    access = _access(folder)
    store = Store(load_settings().require("database_url"), pool_size=1)
    try:
        changed = sync_seeds(store, access)
    finally:
        store.close()
    click.echo("the credentials have changed" if changed else "the credentials are up to date")
    _reload(access, folder)


@nats.command()
def streams() -> None:
    """Create the streams, or update them to what this version needs."""
    from adapters.nats.jetstream import make_streams
    from adapters.nats.login import nats_login
    from adapters.settings import load_settings

    asyncio.run(make_streams(nats_login(load_settings())))
    click.echo("the streams are up to date")


def _access(folder: Path | None) -> "NatsAccess":
    from adapters.nats.access import NatsAccess
    from adapters.servers.nats import access_in
    from adapters.settings import load_settings

    return NatsAccess(folder) if folder else access_in(load_settings().data)


def _reload(access: "NatsAccess", folder: Path | None) -> None:
    """Reload the server of `stemma up`; another server cannot be reached from here."""
    from adapters.settings import load_settings

    data = load_settings().data
    if folder is None and access.reload(data / "nats", data / "logs" / "nats.log"):
        click.echo("nats-server uses the new configuration")
    else:
        click.echo(
            "if nats-server runs, let it reload the configuration twice: see"
            " docs/operator/several-machines.md"
        )
