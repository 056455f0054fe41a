"""The run of an import: every line and file is validated before anything is recorded."""

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice, tee
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.dataset.imports.check import Check, Ready
from adapters.dataset.imports.files import ImagePool, SourceChanged, image_pool
from adapters.dataset.imports.groups import SourceGroups, source_groups
from adapters.dataset.imports.leftovers import delete_leftovers, staged_as, work_prefix
from adapters.dataset.imports.pace import Pace
from adapters.dataset.imports.progress import Phase, Progress
from adapters.dataset.imports.report import ProblemReport
from adapters.dataset.imports.requested import RequestedImport, upload_key
from adapters.dataset.imports.views import Views
from adapters.formats.items import Contents, Note, ReadOptions
from adapters.formats.registry import ANNOTATIONS, detect, read
from adapters.formats.sources import Listing, listing
from adapters.formats.splits import folder_split
from adapters.shortage import shortage
from adapters.uploads.archive_readers import NotAnArchive
from adapters.uploads.archives import ArchiveLimits, unpack
from adapters.uploads.image_files import ImageLimits
from adapters.video.frames import VideoLimits, container_of, extract_frames
from adapters.video.messages import Report
from application.dataset.erasure import erased_among
from application.dataset.imports import TakenImage, take_images, views_of
from application.handle import Decided, Outcome, Session, handle
from application.log.store import Store
from domain.aggregates import IMPORT, PROJECT
from domain.dataset.image import AddImage
from domain.dataset.imports import (
    AUTO,
    NEGATIVE,
    EndImport,
    Ending,
    ImportChecked,
    ImportCompleted,
    ImportCounts,
    ImportFailed,
    ImportRefused,
)
from domain.dataset.pixels import grey_depth
from domain.dataset.project import CoverGreyValues, Project
from domain.errors import Conflict, Invalid, Refusal
from domain.formatting import counted

BATCH = 500
VIDEO = "video"
LISTED = 20
"""The most problems in an event; the report has all of them."""


class ImportContext(msgspec.Struct, frozen=True):
    """The stores, limits and folders that an import uses."""

    store: Store
    blobs: BlobStore
    blobs_url: str
    images: ImageLimits
    archive: ArchiveLimits
    roots: tuple[Path, ...]


def inside_roots(source: str, roots: Iterable[Path]) -> Path:
    """The path of a source on the server. Raises `Invalid` unless it is in one of the roots."""
    if not Path(source).is_absolute():
        raise Invalid(f"{source!r} is not an absolute path on the server", field="source")
    try:
        path = Path(source).resolve()
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise Invalid(f"{source[:100]!r} cannot be read: {error}", field="source") from error
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise Invalid(
            f"{source} is not in a folder that this server imports from; its operator sets"
            " STEMMA_IMPORT_ROOTS",
            field="source",
        )
    if not exists:
        raise Invalid(f"{source} does not exist on the server", field="source")
    return path


def run_import(context: ImportContext, requested: RequestedImport, progress: Progress) -> Ending:
    """Run an import and record its end.

    An import that is killed at any instant and run again continues and ends in the same way.
    Exceptions are not the source's fault: a server that does not answer, a killed process.
    """
    ending = _ending(context, requested, progress)
    handle(
        context.store,
        requested.request("end"),
        lambda session: session.decide(IMPORT, requested.import_id, EndImport(ending)),
    )
    delete_leftovers(context.blobs, context.store.database_url, requested.import_id)
    return ending


def _ending(context: ImportContext, requested: RequestedImport, progress: Progress) -> Ending:
    prefix = work_prefix(context.store.database_url, requested.import_id)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        work = Path(name)
        report = ProblemReport(work / "report.jsonl")
        try:
            return _Run(context, requested, progress, work, report).run()
        except Invalid as refusal:
            return _refused(context, refusal.detail, report)
        except (Refusal, SourceChanged) as stopped:
            return ImportFailed(str(stopped))
        except BlobMissing:
            return ImportFailed("the uploaded archive is not in the blob store; upload it again")
        except OSError as error:
            if error.errno is None or shortage(error):
                raise
            return ImportFailed(f"{error.strerror}: {error.filename or 'on this server'}")


def _refused(context: ImportContext, reason: str, report: ProblemReport) -> ImportRefused:
    return ImportRefused(
        reason, report.problems, tuple(report.first(LISTED)), report.store(context.blobs)
    )


class _Batch(NamedTuple):
    """Images that are taken by one command, and the fingerprint of this command."""

    images: list[Ready]
    fingerprint: str


class _Run:
    def __init__(
        self,
        context: ImportContext,
        requested: RequestedImport,
        progress: Progress,
        work: Path,
        report: ProblemReport,
    ) -> None:
        self._context = context
        self._requested = requested
        self._rules = requested.event.rules
        self._project = requested.event.project_id
        self._progress = progress
        self._work = work
        self._ready = work / "ready.jsonl"
        self._report = report
        self._format = self._rules.format
        self._groups = source_groups(context.store, self._project)

    def run(self) -> Ending:
        folder = self._folder()
        if self._format == AUTO:
            self._format = detect(folder)
        existing = views_of(self._context.store, self._project)
        views = Views(self._project, existing, new_concepts=self._rules.new_concepts)
        staged = None if self._rules.dry_run else self._staged_as
        with image_pool(folder, self._context.images, self._context.blobs_url, staged) as pool:
            contents = self._read(folder, views)
            erased = partial(erased_among, self._context.store)
            check = Check(folder, contents, views, pool, self._report, erased, self._groups)
            images = self._save(check.run(self._progress))
            if self._report.problems and not self._rules.skip_bad:
                wrong = counted(self._report.problems, "line or file", "lines or files")
                reason = f"{wrong} cannot be imported, so nothing was imported"
                return _refused(self._context, reason, self._report)
            if not images:
                reasons = "; ".join(f"{r.text} ({r.count:,})" for r in self._report.summary())
                reason = "the source has no image to import"
                reason += f": {reasons}" if reasons else ""
                return _refused(self._context, reason, self._report)
            if check.highest_grey is not None:
                self._cover_grey(check.highest_grey)
            take = self._rehearse if self._rules.dry_run else self._take_all
            recorded = take(views, pool, images)
        counts = ImportCounts(
            images=images,
            skipped=self._report.problems,
            notes=self._report.notes,
            left_out=self._report.left_out,
            **recorded,
        )
        ending = ImportChecked if self._rules.dry_run else ImportCompleted
        stored = self._report.store(self._context.blobs)
        return ending(self._format, counts, stored, self._report.summary())

    def _cover_grey(self, highest: int) -> None:
        """Let the project's depth of 16-bit grey hold these images, before any of them joins."""
        bits = grey_depth(highest)
        text = f"16-bit grey up to {highest:,} is read by the upper 8 of {bits} bits at least"
        self._report.add(Note(self._requested.event.source, text))
        if not self._rules.dry_run:
            handle(
                self._context.store,
                self._requested.request("grey depth"),
                lambda session: session.decide(PROJECT, self._project, CoverGreyValues(highest)),
            )

    def _save(self, images: Iterable[Ready]) -> int:
        """Write the images to a file, since there can be many. Returns their number."""
        count = 0
        with self._ready.open("wb") as file:
            for image in images:
                file.write(msgspec.json.encode(image) + b"\n")
                count += 1
        return count

    def _take_all(self, views: Views, pool: ImagePool, images: int) -> dict[str, int]:
        """Store every file and record every image, in batches. Returns the counts."""
        counts = views.make(self._context.store, self._requested.request)
        to_store, batches = tee(self._batches())
        files = ([(each.path, each.checked.blob) for each in batch.images] for batch in to_store)
        recorded = 0
        stored = zip(batches, pool.store(files), strict=True)
        pace, shown = Pace(self._context.store.database_url), 0
        # While PostgreSQL records a batch, the next one is decided.
        with ThreadPoolExecutor(2, thread_name_prefix="take") as threads:
            pending: deque[tuple[int, Future[Outcome]]] = deque()

            def finish() -> None:
                nonlocal recorded, shown
                size, outcome = pending.popleft()
                _add(counts, outcome.result().counts)
                recorded += size
                pace.keep(shown)
                shown = outcome.result().position
                self._progress.show(Phase.TAKING, recorded, images)

            for number, (batch, _) in enumerate(stored):
                previous = pending[-1][1] if pending else None
                outcome = threads.submit(self._take, number, batch, views, previous)
                pending.append((len(batch.images), outcome))
                if len(pending) == 2:
                    finish()
            while pending:
                finish()
        return counts

    def _batches(self) -> Iterator[_Batch]:
        decoder = msgspec.json.Decoder(Ready)
        with self._ready.open("rb") as file:
            while lines := [line.rstrip() for line in islice(file, BATCH)]:
                # As if the batch were encoded as a list.
                fingerprint = hashlib.sha256(b"[" + b",".join(lines) + b"]").hexdigest()
                yield _Batch([decoder.decode(line) for line in lines], fingerprint)

    def _folder(self) -> Path:
        """The source's folder: the one on the server, or the unpacked archive."""
        event = self._requested.event
        if event.on_server:
            path = inside_roots(event.source, self._context.roots)
            if path.is_dir():
                return _without_wrapper(path)
        else:
            path = self._work / "upload"
            self._context.blobs.copy_scratch_to(upload_key(self._requested.import_id), path)
        self._progress.show(Phase.UNPACKING, 0, None)
        folder = self._work / "source"
        if container_of(path) is not None:
            self._extract(path, folder)
            return folder
        try:
            unpack(path, folder, self._context.archive)
        except NotAnArchive as error:
            if not _is_annotation_file(self._source_name):
                raise
            raise Invalid(
                f"{self._source_name} is an annotation file, which needs its images; put both in a"
                " folder or an archive, and import that",
                field="archive",
            ) from error
        if not event.on_server:
            path.unlink()
        return _without_wrapper(folder)

    def _extract(self, path: Path, folder: Path) -> None:
        """Take the frames of a video, which are then the source."""
        if self._format not in {AUTO, VIDEO}:
            raise Invalid(f"the source is a video, not {self._format}", field="format")
        self._format = VIDEO
        images, archive = self._context.images, self._context.archive
        limits = VideoLimits(images.max_pixels, archive.max_members, archive.max_total_bytes)

        def show(report: Report) -> None:
            total = None if report.total is None else int(report.total) + 1
            self._progress.show(Phase.UNPACKING, int(report.done), total)

        rate = self._rules.frame_rate
        extract_frames(path, self._source_name, folder, rate, limits, show)
        if not self._requested.event.on_server:
            path.unlink()

    @property
    def _staged_as(self) -> str:
        return staged_as(self._context.store.database_url, self._requested.import_id)

    @property
    def _source_name(self) -> str:
        return PurePosixPath(self._requested.event.source).name

    def _read(self, folder: Path, views: Views) -> Contents:
        view = views.choose(self._requested.event.view, self._requested.event.source)
        kind = self._rules.kind or views.kind_of(view)
        options = ReadOptions(
            view,
            kind,
            self._rules.clip,
            negative=self._rules.unlabelled == NEGATIVE,
            origin=self._rules.origin,
            video=self._source_name,
        )
        return read(self._format, folder, options)

    def _take(
        self, number: int, batch: _Batch, views: Views, previous: "Future[Outcome] | None"
    ) -> Outcome:
        """Record a batch after the previous one: the log has images in the source's order."""
        taken = [_taken(self._project, image, views, self._groups) for image in batch.images]
        request = msgspec.structs.replace(
            self._requested.request(f"batch {number}"), fingerprint=batch.fingerprint
        )

        groups = self._groups.index if self._groups else None

        def decide(session: Session) -> Decided[Project]:
            decided = take_images(session, self._project, taken, groups)
            if previous is not None:
                previous.result()
            return decided

        if groups is not None and previous is not None:
            previous.result()  # a batch rests on which images the groups have before it
        try:
            return handle(self._context.store, request, decide)
        except Conflict as conflict:
            if conflict.field != "Idempotency-Key":
                raise
            raise SourceChanged(
                "the source has changed since the import was interrupted; start the import again"
            ) from conflict

    def _rehearse(self, views: Views, _: ImagePool, images: int) -> dict[str, int]:
        """The counts of a dry run: every batch is decided, and nothing is saved."""
        counts, groups = views.missing(), self._groups.index if self._groups else None
        decided = 0
        for batch in self._batches():
            session = Session(self._context.store, self._requested.request("rehearsal"))
            views.simulate(session)
            taken = [_taken(self._project, image, views, self._groups) for image in batch.images]
            _add(counts, take_images(session, self._project, taken, groups).counts)
            decided += len(taken)
            self._progress.show(Phase.TAKING, decided, images)
        return counts


def _taken(project_id: str, image: Ready, views: Views, groups: SourceGroups | None) -> TakenImage:
    checked = image.checked
    return TakenImage(
        image.where,
        AddImage(
            project_id, checked.blob, checked.width, checked.height, image.file_name, image.metadata
        ),
        image.split,
        tuple(views.command(name, annotations) for name, annotations in image.annotations.items()),
        groups.split(checked.blob, image.metadata) if groups else None,
    )


def _without_wrapper(folder: Path) -> Path:
    """The folder below those that hold nothing but one folder, as tools pack and unpack them.

    A folder without folders or annotation files is a class, and one that names a split is a split.
    """
    while True:
        entries = listing(folder)
        if len(entries.folders) != 1 or entries.files or entries.others:
            return folder
        below = folder / entries.folders[0]
        content = listing(below)
        has_structure = content.folders or any(map(_is_annotation_file, content.files))
        if not has_structure or folder_split(below.name) or _is_doubled_class(below, content):
            return folder
        folder = below


def _is_doubled_class(folder: Path, content: Listing) -> bool:
    """Whether a folder holds only one of the same name, with nothing but files: `cat/cat/1.png`."""
    if content.files or content.folders != [folder.name]:
        return False
    return not listing(folder / folder.name).folders


def _is_annotation_file(name: str) -> bool:
    """Whether a file tells a folder of a data set from a class, which may have notes.txt."""
    return Path(name).suffix.lower() in ANNOTATIONS or name == "classes.txt"


def _add(total: dict[str, int], counts: dict[str, int]) -> None:
    for name, number in counts.items():
        total[name] = total.get(name, 0) + number
