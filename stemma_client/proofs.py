"""Proofs that a version's events are in the log that you kept a checkpoint of, and unaltered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_client._generated import answers, operations
from stemma_client.downloads import sha256_of
from stemma_client.errors import DigestMismatch, NotProven
from stemma_client.merkle import KeptCheckpoint, checkpoint_in, leaf_hash, root_by

if TYPE_CHECKING:
    from stemma_client.client import Stemma

ENTRY = "stemma-event/v1"
LAST = frozenset({"version.training_completed", "version.adopted"})


class ProvenEvent(msgspec.Struct, frozen=True):
    """An event that the checkpoint commits to; `stored` is its JSON as the log has it."""

    position: int
    revision: int
    name: str
    stored: dict[str, Any]


class Proof(msgspec.Struct, frozen=True):
    """What was proven of a version.

    `events` are all of its events up to the checkpoint; `weights` is the sha256 that they name of
    its saved checkpoint, None before there is one. `later` counts events that are newer than the
    checkpoint that you kept: nothing is proven of these.
    """

    version_id: str
    checkpoint: KeptCheckpoint
    events: list[ProvenEvent]
    weights: str | None
    later: int


def prove_version(
    client: Stemma, version_id: str, kept: str | Path, weights: str | Path | None
) -> Proof:
    """See `Version.prove`."""
    checkpoint = checkpoint_in(text_of(kept))
    subject = f"version-{version_id}"
    request = operations.list_trail(stream=subject, order="oldest", limit=500)
    lines = [line for page in client.pages(request) for line in page.items]
    covered = [line.position for line in lines if line.position <= checkpoint.size]
    if not covered:
        raise NotProven(
            f"the checkpoint that you kept is over {checkpoint.size:,} events, and has none of"
            f" {subject}: keep a newer one"
        )
    events = [_prove(client, subject, position, checkpoint) for position in covered]
    revisions = [event.revision for event in events]
    if revisions != list(range(1, len(events) + 1)):
        raise NotProven(f"the server left out events of {subject}: it shows {revisions}")
    digest = _weights_in(events)
    if weights is not None:
        _check_weights(Path(weights), digest, checkpoint)
    return Proof(version_id, checkpoint, events, digest, len(lines) - len(covered))


def text_of(kept: str | Path) -> str:
    """What was kept: a text of several lines, or the file with it."""
    if isinstance(kept, str) and "\n" in kept:
        return kept
    return Path(kept).read_text(encoding="utf-8")


def _prove(client: Stemma, subject: str, position: int, kept: KeptCheckpoint) -> ProvenEvent:
    request = operations.prove_inclusion(position=position, size=kept.size)
    shown: answers.InclusionProof = client.send(request)
    version, number, stream, revision, name, digest = _lines(shown.entry)
    if (version, number, stream) != (ENTRY, str(position), subject):
        raise NotProven(f"position {position} is {stream} at {number}, not an event of {subject}")
    try:
        path = [bytes.fromhex(step) for step in shown.proof]
    except ValueError as error:
        raise NotProven(f"the proof of position {position} has no hashes") from error
    root = root_by(leaf_hash(shown.entry.encode()), position - 1, kept.size, path)
    if root != kept.root:
        raise NotProven(
            f"event {position}, {name} of {stream}, is not in the log that you kept the checkpoint"
            " of: it was altered"
        )
    if hashlib.sha256(shown.stored.encode()).hexdigest() != digest:
        raise NotProven(f"event {position} has different content than in the log")
    return ProvenEvent(position, int(revision), name, json.loads(shown.stored))


def _lines(entry: str) -> list[str]:
    lines = entry.split("\n")
    if len(lines) != 7 or lines[-1] or not lines[3].isdecimal():
        raise NotProven("the server shows no entry of a log")
    return lines[:-1]


def _weights_in(events: list[ProvenEvent]) -> str | None:
    ended = [event for event in events if event.name in LAST]
    return _find(ended[-1].stored, "checkpoint") if ended else None


def _find(stored: Any, field: str) -> str | None:
    """The field's value, wherever in the stored JSON the event lies."""
    if isinstance(stored, dict):
        if isinstance(stored.get(field), str):
            return str(stored[field])
        return next((found for value in stored.values() if (found := _find(value, field))), None)
    return None


def _check_weights(path: Path, digest: str | None, kept: KeptCheckpoint) -> None:
    if digest is None:
        raise NotProven(
            f"the first {kept.size:,} events name no weights of the version: it had not ended when"
            " you kept the checkpoint"
        )
    found = path.glob("model.*") if path.is_dir() else [path]
    files = [one for one in found if one.suffix != ".json"]
    if len(files) != 1:
        raise NotProven(f"{path} has {len(files)} files of weights: name one")
    (file,) = files
    if (actual := sha256_of(file)) != digest:
        raise DigestMismatch(f"{file} has sha256 {actual}, and the log names {digest}")
