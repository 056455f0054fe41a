"""A signed log with a finished version in it, its bundles, and ways to tamper with them."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import msgspec
import psycopg

from adapters.audit.bundle import write_bundle
from adapters.audit.bundle_rows import Selection, everything, of_project, of_version
from adapters.audit.stored import Connection, StoredCheckpoint, newest_checkpoint
from adapters.audit.verify_bundle import main
from adapters.blobs.blobs import BlobStore
from adapters.training.policy_feed import put_manifest
from application.log.store import Store
from application.training.ingest import Ingest
from application.training.policies import REACTS_TO, Effects, react
from domain.aggregates import IMAGE
from domain.dataset.image import RemoveImage
from domain.training.messages import AnyReport, CheckpointSaved, Completed, Evaluated
from domain.training.version import VersionCreated
from tests.adapters.audit.logs import Signed
from tests.application.scenes import Scene, do, trainable
from tests.application.training.reports import accept_results, delivered, reports, whole_run
from tests.servers import Database

WEIGHTS = b"the weights"
SUMS = "SHA256SUMS"
Members = dict[str, bytes]
"""An archive's content by the names of its members, in order."""


class Exhibit:
    """A log in which a version was trained, signed four times, with another project's events."""

    def __init__(self, store: Store, database: Database, folder: Path) -> None:
        self.store = store
        self.database = database
        self.blobs_url = (folder / "blobs").as_uri()
        self.blobs = BlobStore.from_url(self.blobs_url)
        self.signed = Signed(database, folder)
        self.scene = trainable(store)
        for number in range(8):  # two of its ten images are lost
            self.blobs.put(b"%d" % number)
        other = Scene(store, images=3)
        self.signed.sign()
        self.version = self.scene.train()
        self.scene.annotate((self.scene.images[0], self.scene.concepts[1]))
        do(store, lambda s: s.change(IMAGE, self.scene.images[1], RemoveImage()))
        self.signed.sign()
        self.freeze()
        [self.late_image] = self.scene.add_images(1)
        other.add_images(2)
        self.signed.sign()  # amid what a bundle of the version leaves out
        other.add_images(2)
        weights = self.blobs.put(WEIGHTS)
        predictions = self.blobs.put(b"the predictions")
        run = [_with_blobs(one, weights, predictions) for one in whole_run()]
        Ingest(store, "feed").take(delivered(reports(self.version, run)))
        accept_results(store)
        self.signed.sign()

    def freeze(self) -> None:
        """What the policies do about every version of the log."""
        effects = Effects(partial(put_manifest, self.blobs), lambda _: None)
        for recorded in self.store.read_all(names=REACTS_TO):
            react(self.store, effects, recorded)

    def created(self, version: str) -> VersionCreated:
        stream = f"version-{version}"
        event = self.store.streams([stream])[stream][0].event
        assert isinstance(event, VersionCreated)
        return event

    @property
    def keys(self) -> Path:
        return self.signed.keys.public_path

    def of(self, kind: str, *, with_blobs: bool = False) -> bytes:
        """A bundle of the version, of its project, or of all."""
        select: dict[str, Callable[[Connection, StoredCheckpoint], Selection]] = {
            "version": lambda connection, at: of_version(connection, self.version, at),
            "project": lambda connection, at: of_project(connection, self.scene.project, at),
            "all": lambda _, at: everything(at),
        }
        return self.export(select[kind], with_blobs=with_blobs)

    def of_version(self, version: str) -> bytes:
        """A bundle of any version."""
        return self.export(lambda connection, at: of_version(connection, version, at))

    def export(
        self,
        select: Callable[[Connection, StoredCheckpoint], Selection],
        *,
        with_blobs: bool = False,
        kept: frozenset[str] | None = None,
    ) -> bytes:
        """All checkpoints count as kept by the auditor, unless they are given."""
        into = io.BytesIO()
        with psycopg.connect(self.database.app_url) as connection:
            newest = newest_checkpoint(connection)
            assert newest is not None
            if kept is None:
                kept = frozenset(checkpoint.text() for checkpoint in self.signed.checkpoints())
            selection = msgspec.structs.replace(select(connection, newest), kept=kept)
            keys = self.signed.keys.verifiers()
            write_bundle(connection, self.blobs, keys, selection, into, with_blobs=with_blobs)
        return into.getvalue()


def _with_blobs(report: AnyReport, weights: str, predictions: str) -> AnyReport:
    if isinstance(report, Evaluated):
        report = msgspec.structs.replace(report, predictions=predictions)
    if isinstance(report, CheckpointSaved | Completed | Evaluated):
        report = msgspec.structs.replace(report, checkpoint=weights)
    return report


class Checked(msgspec.Struct, frozen=True):
    """What the verifier said, and its exit status."""

    status: int
    lines: list[str]

    @property
    def last(self) -> str:
        return self.lines[-1]


def check(content: bytes, folder: Path, *options: object) -> Checked:
    """Run the verifier in this process."""
    bundle = folder / "bundle.zip"
    bundle.write_bytes(content)
    with redirect_stdout(io.StringIO()) as said:
        status = main([str(bundle), *map(str, options)])
    return Checked(status, said.getvalue().splitlines())


def members_of(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: Sequence[tuple[str, bytes]]) -> bytes:
    """An archive of these members, whatever they are called and however often they are there."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return into.getvalue()


def forged(members: Members) -> bytes:
    """An archive whose list of digests is made to fit, as a forger would."""
    kept = {name: content for name, content in members.items() if name != SUMS}
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in kept.items()]
    return packed([*kept.items(), (SUMS, "".join(sums).encode())])
