"""Files of checkpoints that an auditor kept."""

from collections.abc import Collection, Iterator
from pathlib import Path

import click

from adapters.audit.checked_checkpoints import Signed
from adapters.audit.signing import Unsigned, open_checkpoint
from domain.audit.signed_note import Malformed, VerifierKey
from domain.audit.transparency import notes_in


def kept_checkpoints(
    path: Path, verifier_keys: Collection[VerifierKey], unsigned: list[str]
) -> Iterator[Signed]:
    """The checkpoints of a file; those without a signature of a known key are added to
    `unsigned`."""
    try:
        notes = list(notes_in(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not text") from error
    if not notes:
        raise click.UsageError(f"{path} contains no checkpoint")
    for number, note in enumerate(notes, start=1):
        source = f"checkpoint {number} of {path.name}"
        try:
            checkpoint, _ = open_checkpoint(note, verifier_keys)
        except Malformed as error:
            raise click.UsageError(f"{source} is not a signed checkpoint: {error}") from error
        except Unsigned as error:
            unsigned.append(f"{source} is not signed by the log: {error}")
            continue
        yield Signed(checkpoint, source)
