"""`stemma audit export` and `verify-bundle`: the log, or a part of it, for checks elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from application.log.store import KEEPALIVE_OPTIONS
from cli.reading import reading
from domain.formatting import counted

if TYPE_CHECKING:
    from adapters.audit.bundle_rows import Selection
    from adapters.audit.stored import Connection, StoredCheckpoint


@click.command("export")
@click.argument("target", metavar="FILE.zip", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--version", "version_id", help="A version, and everything that its dataset is made from."
)
@click.option("--project", "project_id", help="A project, with everything in it.")
@click.option("--all", "everything", is_flag=True, help="Every event of the log.")
@click.option("--with-blobs", is_flag=True, help="Include the images and the worker's files.")
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The log's public keys; by default those in the data folder.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Checkpoints that an auditor kept: the bundle can then be compared with them.",
)
def export_command(
    target: Path,
    version_id: str | None,
    project_id: str | None,
    everything: bool,
    with_blobs: bool,
    keys_file: Path | None,
    against: tuple[Path, ...],
) -> None:
    """Write an audit bundle to FILE.zip: events, and proof that they are in the log."""
    from adapters.audit.bundle import NotAsSigned, write_bundle
    from adapters.audit.bundle_rows import uncovered
    from adapters.audit.keys import PUBLIC, read_verifier_keys
    from adapters.audit.signing import Unsigned
    from adapters.audit.stored import newest_checkpoint
    from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
    from adapters.settings import load_settings
    from cli.audit.kept import kept_checkpoints
    from domain.errors import Conflict, Refusal

    if [version_id is not None, project_id is not None, everything].count(True) != 1:
        raise click.UsageError("give one of --version, --project and --all")
    settings = load_settings()
    keys_file = keys_file or settings.signing_key_file.with_name(PUBLIC)
    keys = read_verifier_keys(keys_file)
    if not keys:
        raise click.UsageError(f"{keys_file} contains no key")
    unsigned: list[str] = []
    kept = frozenset(
        signed.checkpoint.text()
        for path in against
        for signed in kept_checkpoints(path, keys, unsigned)
    )
    if unsigned:
        raise click.UsageError(unsigned[0])
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    part = target.with_name(f"{target.name}.part")
    try:
        with reading(), _snapshot(settings.require("database_url")) as connection:
            newest = newest_checkpoint(connection, keys[-1].name)
            if newest is None or newest.size == 0:
                raise Conflict(
                    "no event is signed yet: check that the service checkpoints is running"
                )
            selection = msgspec.structs.replace(
                _selected(connection, newest, version_id, project_id), kept=kept
            )
            with part.open("wb") as file:
                write_bundle(connection, blobs, keys, selection, file, with_blobs=with_blobs)
            missing = uncovered(connection, selection)
        part.replace(target)
    except (NotAsSigned, Unsigned, BlobMissing, BlobCorrupt, Refusal, ValueError, OSError) as error:
        click.echo(f"stemma: {error}", err=True)
        sys.exit(1)
    finally:
        part.unlink(missing_ok=True)
    click.echo(
        f"wrote {target}: {selection.of}, under the checkpoint of"
        f" {counted(selection.size, 'event')}"
    )
    if missing:
        click.echo(f"{missing:,} newer events are not included: no checkpoint covers them yet")


@contextmanager
def _snapshot(url: str) -> "Iterator[Connection]":
    """A read-only connection with one snapshot of the database."""
    import psycopg

    with psycopg.connect(url, **KEEPALIVE_OPTIONS) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def _selected(
    connection: "Connection",
    newest: "StoredCheckpoint",
    version_id: str | None,
    project_id: str | None,
) -> "Selection":
    from adapters.audit import bundle_rows

    if version_id is not None:
        return bundle_rows.of_version(connection, version_id, newest)
    if project_id is not None:
        return bundle_rows.of_project(connection, project_id, newest)
    return bundle_rows.everything(newest)


@click.command("verify-bundle")
@click.argument("bundle", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="The log's public keys, from a source that you trust.",
)
@click.option(
    "--against", type=click.Path(path_type=Path), help="Signed checkpoints that you kept."
)
def verify_bundle_command(bundle: Path, key: Path | None, against: Path | None) -> None:
    """Check an audit bundle offline, and print what is proved."""
    from adapters.audit.verify_bundle import main

    options = {"--key": key, "--against": against}
    arguments = [text for name, path in options.items() if path for text in (name, str(path))]
    sys.exit(main([str(bundle), *arguments]))
