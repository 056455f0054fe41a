"""`stemma audit verify` and `stemma audit rotate-key`."""

import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import click

from adapters.audit.keys import Keys, read_verifier_keys
from adapters.audit.signing import Unsigned, open_checkpoint
from adapters.audit.verify import Signed, VerificationReport, verify
from adapters.settings import load_settings
from domain.audit.signed_note import Malformed, VerifierKey
from domain.audit.transparency import notes_in

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("verify")
@click.option("--against", type=_FILE, multiple=True, help="Checkpoints that you kept.")
@click.option("--key", type=_FILE, help="The log's public keys; by default those in this machine's"
              " data folder.")  # fmt: skip
def verify_command(against: tuple[Path, ...], key: Path | None) -> None:
    """Prove that nothing was altered, or name the first event that was.

    The exit status is 0 if all is as it was signed, 1 if not, 2 if it could not be looked at.
    """
    settings = load_settings()
    url = settings.require("database_url")
    public = key or Keys(settings.signing_key_file).public_path
    verifier_keys = read_verifier_keys(public)
    unsigned: list[str] = []
    kept = [signed for path in against for signed in _kept(path, verifier_keys, unsigned)]
    began = time.monotonic()
    report = verify(url, verifier_keys, kept)
    for line in _lines(report, kept, time.monotonic() - began):
        click.echo(line)
    for finding in (findings := [*unsigned, *report.findings]):
        click.echo(f"FOUND: {finding}")
    if findings:
        sys.exit(1)
    click.echo("nothing was altered")


@click.command("rotate-key")
def rotate_key_command() -> None:
    """Let another key sign from now on. The first checkpoint by it is signed by the old one too."""
    settings = load_settings()
    keys = Keys(settings.signing_key_file, settings.log_origin)
    new = keys.rotate()
    click.echo(f"{new} signs from now on; give it to your auditors, who find it in")
    click.echo(str(keys.public_path))


def _kept(
    path: Path, verifier_keys: Collection[VerifierKey], unsigned: list[str]
) -> Iterator[Signed]:
    """The checkpoints of a file; those without a signature of a known key are added to
    `unsigned`."""
    try:
        notes = list(notes_in(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is no text") from error
    if not notes:
        raise click.UsageError(f"{path} holds no checkpoint")
    for number, note in enumerate(notes, start=1):
        source = f"checkpoint {number} of {path.name}"
        try:
            checkpoint, _ = open_checkpoint(note, verifier_keys)
        except Malformed as error:
            raise click.UsageError(f"{source} is none: {error}") from error
        except Unsigned as error:
            unsigned.append(f"{source} is not signed by the log: {error}")
            continue
        yield Signed(checkpoint, source)


def _lines(report: VerificationReport, kept: Collection[Signed], seconds: float) -> Iterator[str]:
    rate = report.events / max(seconds, 1e-9)
    yield f"{report.events:,} events read in {seconds:.1f} s ({rate:,.0f} a second)"
    yield f"their root is {report.root.hex()}"
    yield f"{report.stored:,} stored checkpoints, and {len(kept):,} that you kept"
    yield f"the events are as they were signed for up to position {report.covered:,}"
