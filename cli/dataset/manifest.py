"""`stemma manifest`: the training data of a version, as stored or rebuilt from the events."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import IO

import click

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.settings import Settings, load_settings
from application.log.store import Store
from application.training.policies import manifest_of
from cli.reading import reading
from domain.aggregates import VERSION
from domain.formatting import counted
from domain.training.manifest import canonical_line
from domain.training.version import DatasetFrozen, VersionCreated


@click.command("manifest")
@click.argument("version_id")
@click.option("--from-log", is_flag=True, help="Rebuild it from the events alone.")
@click.option(
    "--output",
    type=click.File("wb", lazy=True),
    help="Write its lines to this file; - prints them.",
)
def manifest_command(version_id: str, from_log: bool, output: IO[bytes] | None) -> None:
    """Compare a version's manifest with its digest in the log.

    The exit status is 1 if they differ, 2 if they could not be compared. Without --from-log it is
    read from the blob store.
    """
    settings = load_settings()
    digest, images = hashlib.sha256(), 0
    url = settings.require("database_url")
    with reading(url), closing(Store(url, pool_size=2)) as store:
        try:
            created, frozen = _events(store, version_id)
            for line in _from_log(store, created) if from_log else _stored(settings, frozen):
                digest.update(line)
                images += line.count(b"\n")
                if output is not None:
                    output.write(line)
        except (BlobMissing, BlobCorrupt) as error:
            click.echo(f"stemma: {error}", err=True)
            sys.exit(1)
    same = digest.hexdigest() == frozen.manifest
    click.echo(f"sha256 {digest.hexdigest()}, {counted(images, 'image')}", err=True)
    click.echo("equal to the log's" if same else f"the log has {frozen.manifest}", err=True)
    sys.exit(0 if same else 1)


def _events(store: Store, version_id: str) -> tuple[VersionCreated, DatasetFrozen]:
    stream = VERSION.stream(version_id)
    created = frozen = None
    for recorded in store.streams([stream])[stream]:
        match recorded.event:
            case VersionCreated() as event:
                created = event
            case DatasetFrozen() as event:
                frozen = event
    if created is None:
        raise click.UsageError(f"version {version_id!r} not found")
    if frozen is None:
        raise click.UsageError(f"the dataset of version {version_id!r} is not frozen yet")
    return created, frozen


def _from_log(store: Store, created: VersionCreated) -> Iterator[bytes]:
    return map(canonical_line, manifest_of(store, created))


def _stored(settings: Settings, frozen: DatasetFrozen) -> Iterator[bytes]:
    return BlobStore.from_url(settings.require("blobs_url")).read_compressed(frozen.manifest)
