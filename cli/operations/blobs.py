"""`stemma blobs`: garbage collection of blobs, and their verification."""

import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli.reading import reading
from domain.formatting import counted

if TYPE_CHECKING:
    from adapters.blobs.blobs import BlobStore
    from application.log.store import Store

_UNITS = {"d": "days", "h": "hours"}


class Age(click.ParamType[timedelta]):
    """A time such as `7d` or `36h`."""

    name = "age"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,5})([dh])", str(value))
        if match is None:
            self.fail(f"{value!r} is not an age such as 7d or 36h", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.group()
def blobs() -> None:
    """Maintain the blob store."""


@blobs.command()
@click.option(
    "--older-than",
    type=Age(),
    default="7d",
    show_default=True,
    help="The minimum age, at least 1d.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be done.")
def collect(older_than: timedelta, dry_run: bool) -> None:
    """Move blobs that no event names to the trash, and delete old ones from the trash."""
    from adapters.blobs.collection import collect as run
    from adapters.settings import load_settings
    from domain.errors import Refusal

    now = datetime.now(UTC)
    kept = load_settings().flip_book_versions
    with _opened() as (store, blob_store):
        try:
            report = run(
                store,
                blob_store,
                older_than=older_than,
                now=now,
                dry_run=dry_run,
                kept_flip_books=kept,
            )
        except Refusal as refusal:
            raise click.ClickException(refusal.detail) from refusal
    would = "would be " if dry_run else ""
    click.echo(f"{report.kept} blobs kept")
    click.echo(
        f"{counted(report.discarded, 'blob')} {would}moved to the trash"
        f" ({report.discarded_bytes:,} bytes)"
    )
    click.echo(f"{report.restored} {would}put back from the trash")
    click.echo(
        f"{counted(report.purged, 'blob')} {would}deleted from the trash ({report.purged_bytes:,}"
        " bytes)"
    )
    if report.versions_without_items:
        count, s = report.versions_without_items, "s" if report.versions_without_items > 1 else ""
        click.echo(f"the recorded items of {count} version{s} {would}deleted")
    if report.erased:
        click.echo(f"{report.erased} {would}deleted because the log records their erasure")


@blobs.command()
@click.option(
    "--thumbnails/--no-thumbnails", default=True, help="Also make thumbnails again and compare."
)
def check(thumbnails: bool) -> None:
    """Read every blob that an event names; exit with 1 if one is missing or corrupt, and with 2 if
    the log or the blob store could not be read.

    An erased blob that still exists is an error, too, and so is a thumbnail that does not match its
    image.
    """
    from adapters.blobs.collection import check as run

    with _opened() as (store, blob_store):
        troubles = 0
        for trouble in run(store, blob_store):
            troubles += 1
            where = f"{trouble.event_name} at position {trouble.position}"
            click.echo(f"{trouble.digest} is {trouble.problem}; named by {where}")
        for path in _wrong_thumbnails(blob_store) if thumbnails else ():
            troubles += 1
            click.echo(f"{path} does not match its image: delete it, and it is made again")
    if troubles:
        sys.exit(1)
    click.echo("every blob that the log names exists and is intact")


def _wrong_thumbnails(blob_store: "BlobStore") -> "Iterator[str]":
    """The paths in the blob store of thumbnails that are wrong."""
    from contextlib import closing

    from adapters.blobs.blobs import thumbnail_key
    from adapters.dataset.thumbnails import verify
    from adapters.images.decoders import LONGEST_SECONDS, Decoder
    from adapters.settings import load_settings

    with closing(Decoder(load_settings().max_image_pixels, LONGEST_SECONDS)) as decoder:
        for wrong in verify(blob_store, decoder):
            yield f"derived/{thumbnail_key(wrong.digest, wrong.size)}"


@contextmanager
def _opened() -> "Iterator[tuple[Store, BlobStore]]":
    from adapters.blobs.blobs import BlobStore
    from adapters.settings import load_settings
    from application.log.store import Store

    settings = load_settings()
    url = settings.require("database_url")
    with reading(url):
        blob_store = BlobStore.from_url(settings.require("blobs_url"))
        with closing(Store(url)) as store:
            yield store, blob_store
