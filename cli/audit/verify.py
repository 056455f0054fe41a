"""`stemma audit verify` and `stemma audit rotate-key`."""

import sys
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click
from nats.errors import Error as NatsError

from adapters.audit.beside_log import check_beside
from adapters.audit.checked_checkpoints import Signed
from adapters.audit.keys import Keys, read_verifier_keys
from adapters.audit.records import STREAM, Record, file_record, stream_record
from adapters.audit.verify import VerificationReport, verify
from adapters.nats.login import nats_login
from adapters.settings import Settings, load_settings
from cli.audit.kept import kept_checkpoints
from cli.reading import reading
from domain.formatting import counted
from domain.text import escaped

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("verify")
@click.option("--against", type=_FILE, multiple=True, help="Checkpoints that you kept.")
@click.option("--key", type=_FILE, help="The log's public keys; by default those in this machine's"
              " data folder.")  # fmt: skip
def verify_command(against: tuple[Path, ...], key: Path | None) -> None:
    """Prove that nothing was altered, or name the first event that was.

    It also compares all records of signed checkpoints that it can read: the table, the signer's
    file in the data folder, and the stream on NATS. The exit status is 0 if nothing has changed
    since it was signed, 1 if something has, 2 if it could not be checked.
    """
    settings = load_settings()
    url = settings.require("database_url")
    keys = Keys(settings.signing_key_file)
    verifier_keys = read_verifier_keys(key or keys.public_path)
    findings: list[str] = []
    kept = [
        signed for path in against for signed in kept_checkpoints(path, verifier_keys, findings)
    ]
    began = time.monotonic()
    with reading(), ExitStack() as stack:
        beside = stack.enter_context(ThreadPoolExecutor(1)).submit(check_beside, url)
        records, unread = _records(settings, stack)
        report = verify(url, verifier_keys, kept, records)
        tables = beside.result()
    for line in (*_lines(report, kept, records, time.monotonic() - began), *tables.unchecked):
        click.echo(escaped(line))
    findings += [*report.findings, *tables.findings]
    if report.stored and keys.path.exists() and not settings.checkpoint_file.exists():
        findings.append(f"{settings.checkpoint_file} is missing; it has every signed checkpoint")
    for finding in findings:
        click.echo(escaped(f"FOUND: {finding}"))
    if findings:
        sys.exit(1)
    if report.events and not report.covered:
        unread.append("no checkpoint exists: whether an event was altered cannot be determined")
    for line in unread:
        click.echo(escaped(f"NOT VERIFIED: {line}"))
    if unread:
        sys.exit(2)
    click.echo("nothing was altered")


def _records(settings: Settings, stack: ExitStack) -> tuple[list[Record], list[str]]:
    """The records outside the database, and why one that should be there cannot be read."""
    records, unread = list[Record](), list[str]()
    if settings.nats_url:
        try:
            records.append(stack.enter_context(stream_record(nats_login(settings))))
        except (NatsError, TimeoutError, OSError) as error:
            unread.append(f"{STREAM} cannot be read: {error or type(error).__name__}")
    if settings.checkpoint_file.exists():
        records.append(file_record(settings.checkpoint_file))
    return records, unread


@click.command("rotate-key")
def rotate_key_command() -> None:
    """Sign with a new key from now on. Its first checkpoint is also signed with the old one."""
    settings = load_settings()
    keys = Keys(settings.signing_key_file, settings.log_origin)
    with reading():
        new = keys.rotate()
    click.echo(f"{new} signs from now on. Give it to your auditors; it is in")
    click.echo(str(keys.public_path))


def _lines(
    report: VerificationReport,
    kept: Collection[Signed],
    records: Collection[Record],
    seconds: float,
) -> Iterator[str]:
    rate = report.events / max(seconds, 1e-9)
    yield f"{counted(report.events, 'event')} read in {seconds:.1f} s ({rate:,.0f} a second)"
    yield f"their root is {report.root.hex()}"
    names = " and ".join(record.name for record in records)
    compared = f", compared with {names}" if names else ""
    yield f"{report.stored:,} stored checkpoints{compared}, and {len(kept):,} that you kept"
    yield f"the events have not changed since they were signed, up to position {report.covered:,}"
    first = report.covered + 1
    if report.findings and report.covered < report.events:
        yield f"from position {first:,} on they were changed since then, or are not signed"
    elif first == report.events:
        yield f"position {first:,} is not signed yet"
    elif first < report.events:
        yield f"positions {first:,} to {report.events:,} are not signed yet"
