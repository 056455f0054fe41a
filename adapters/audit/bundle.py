"""Audit bundles: events, proofs, checkpoints and datasets in one archive for offline verification.

docs/auditor/bundles.md describes each member; `adapters.audit.verify_bundle` verifies them.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from typing import IO

import msgspec

from adapters.audit import bundle_rows as rows
from adapters.audit.bundle_rows import Selection
from adapters.audit.bundle_schemas import envelope, schema_of
from adapters.audit.stored import Connection, Row, StoredCheckpoint, leaf_of
from adapters.blobs.blobs import BlobStore
from adapters.dataset.exports import zip_entry
from adapters.subscriptions.contract.payloads import Form
from domain.audit.merkle import Frontier
from domain.audit.pruned_tree import Pruning
from domain.audit.signed_note import VerifierKey
from domain.audit.transparency import Checkpoint

FORMAT = "stemma-bundle/v1"
SUMS = "SHA256SUMS"


class NotAsSigned(Exception):
    """The log differs from the signed one; the message says up to where, and what to do."""


def write_bundle(
    connection: Connection,
    blobs: BlobStore,
    keys: Sequence[VerifierKey],
    selection: Selection,
    into: IO[bytes],
    *,
    with_blobs: bool = False,
) -> None:
    """Write the archive; the same events and checkpoints give the same bytes.

    The whole log is read, and its tree is compared with every checkpoint, in constant memory.
    Raises `NotAsSigned`, `Malformed`, `Unsigned`, `BlobMissing` or `BlobCorrupt`; the archive is
    then incomplete.
    """
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        _Bundle(connection, blobs, keys, selection, archive).write(with_blobs)


class _Bundle:
    def __init__(
        self,
        connection: Connection,
        blobs: BlobStore,
        keys: Sequence[VerifierKey],
        selection: Selection,
        archive: zipfile.ZipFile,
    ) -> None:
        self._connection = connection
        self._blobs = blobs
        self._keys = keys
        self._selection = selection
        self._archive = archive
        self._sums: list[str] = []
        self._forms: set[Form] = set()

    def write(self, with_blobs: bool) -> None:
        """Write the members in the order of their names, and the list of their digests last."""
        self._add("README.txt", [_file("bundle_readme.txt")])
        self._add("blobs.jsonl", self._blob_lines())
        for digest, kind in self._named_blobs() if with_blobs else ():
            if kind != rows.MANIFEST and self._blobs.has(digest):
                self._add(f"blobs/{digest}", self._blobs.chunks(digest), zipfile.ZIP_STORED)
        claim = {"format": FORMAT, "of": self._selection.of}
        self._add("bundle.json", [_line(claim)])
        self._add("checkpoints.txt", self._notes())
        self._add("log.jsonl", self._log())
        for digest, kind in self._named_blobs():
            if kind == rows.MANIFEST:
                self._add(f"manifests/{digest}.jsonl", self._blobs.read_compressed(digest))
        self._add("schemas/envelope.json", [_line(envelope())])
        for form in sorted(self._forms):
            name, version = form
            self._add(f"schemas/{name}.v{version}.json", [_line(schema_of(form))])
        keys = "".join(f"{key}\n" for key in self._keys)
        self._add("verifier-keys.txt", [keys.encode()])
        self._add("verify_bundle.py", [_file("verify_bundle.py")])
        self._add(SUMS, [line.encode() for line in self._sums])

    def _add(
        self, name: str, chunks: Iterable[bytes], compress_type: int = zipfile.ZIP_DEFLATED
    ) -> None:
        entry = zip_entry(name)
        entry.compress_type = compress_type
        digest = hashlib.sha256()
        with self._archive.open(entry, "w", force_zip64=True) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        self._sums.append(f"{digest.hexdigest()}  {name}\n")

    def _named_blobs(self) -> Iterator[tuple[str, str]]:
        return rows.blobs(self._connection, self._selection)

    def _blob_lines(self) -> Iterator[bytes]:
        for digest, kind in self._named_blobs():
            if kind != rows.MANIFEST:
                size = self._blobs.size(digest)
                yield _line({"sha256": digest, "kind": kind, "bytes": size})

    def _notes(self) -> Iterator[bytes]:
        missing = set(self._selection.kept)
        for stored, held in self._checkpoints():
            if held:
                missing.discard(Checkpoint(stored.origin, stored.size, stored.root).text())
                yield f"{stored.note}\n".encode()
        if missing:
            sizes = ", ".join(sorted(text.split("\n")[1] for text in missing))
            raise NotAsSigned(
                f"no checkpoint over {sizes} events equals the one that you kept; run stemma"
                " audit verify --against it"
            )

    def _checkpoints(self) -> Iterator[tuple[StoredCheckpoint, bool]]:
        return rows.checkpoints(self._connection, self._selection, self._keys)

    def _log(self) -> Iterator[bytes]:
        """The chosen events in order, and the roots of the omitted ones. A root ends at each
        checkpoint that the bundle holds."""
        tree, pruning, checkpoints = Frontier(), Pruning(), self._checkpoints()
        checkpoint, held = next(checkpoints, (None, False))
        for row, chosen in rows.covered_events(self._connection, self._selection):
            if row[0] != tree.size + 1:
                raise NotAsSigned(f"event {tree.size + 1} is missing; run stemma audit verify")
            leaf = leaf_of(row)
            tree.append(leaf)
            if chosen:
                yield from self._cut(pruning)
                pruning.keep()
                yield self._event(row)
            else:
                pruning.leave_out(leaf)
            while checkpoint is not None and checkpoint.size <= tree.size:
                if checkpoint.size == tree.size and checkpoint.root != tree.root():
                    raise NotAsSigned(
                        f"the first {tree.size} events are not the signed ones; run stemma audit"
                        " verify"
                    )
                if held:
                    yield from self._cut(pruning)
                checkpoint, held = next(checkpoints, (None, False))
        if tree.size != self._selection.size:
            raise NotAsSigned(f"event {tree.size + 1} is missing; run stemma audit verify")

    def _cut(self, pruning: Pruning) -> Iterator[bytes]:
        for subtree in pruning.cut():
            yield _line({"height": subtree.height, "root": subtree.root.hex()})

    def _event(self, row: Row) -> bytes:
        position, stream, revision, name, state = row
        try:
            stored = msgspec.json.decode(state, type=_Versioned)
        except msgspec.DecodeError as error:
            raise NotAsSigned(f"event {position} is damaged; run stemma audit verify") from error
        self._forms.add((name, stored.schema_version))
        entry = {"position": position, "stream": stream, "revision": revision, "name": name}
        return _line(entry | {"state": state.decode()})


class _Versioned(msgspec.Struct, frozen=True):
    schema_version: int


def _line(content: object) -> bytes:
    return msgspec.json.encode(content) + b"\n"


def _file(name: str) -> bytes:
    return resources.files("adapters.audit").joinpath(name).read_bytes()
