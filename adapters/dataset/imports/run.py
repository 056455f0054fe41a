"""An import carried out: every line and file checked first, and only then anything taken in."""

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.dataset.imports.check import Check, Ready
from adapters.dataset.imports.files import ImagePool, SourceChanged, image_pool
from adapters.dataset.imports.leftovers import delete_leftovers, work_prefix
from adapters.dataset.imports.progress import Phase, Progress
from adapters.dataset.imports.report import ProblemReport
from adapters.dataset.imports.requested import RequestedImport, upload_key
from adapters.dataset.imports.views import Views
from adapters.formats.items import Contents, ReadOptions
from adapters.formats.registry import FORMATS, detect
from adapters.uploads.archives import ArchiveLimits, unpack
from adapters.uploads.image_files import ImageLimits
from application.dataset.erasure import erased_among
from application.dataset.imports import TakenImage, take_images, views_of
from application.handle import Decided, Outcome, Session, handle
from application.log.store import Store
from domain.aggregates import IMPORT
from domain.dataset.image import AddImage
from domain.dataset.imports import (
    AUTO,
    EndImport,
    Ending,
    ImportChecked,
    ImportCompleted,
    ImportCounts,
    ImportFailed,
    ImportRefused,
)
from domain.dataset.project import Project
from domain.errors import Conflict, Invalid, Refusal

BATCH = 500
LISTED = 20
"""How many problems an event itself names; the report has all of them."""


class ImportContext(msgspec.Struct, frozen=True):
    """Where an import works, and what it may use of it."""

    store: Store
    blobs: BlobStore
    blobs_url: str
    images: ImageLimits
    archive: ArchiveLimits
    roots: tuple[Path, ...]


def inside_roots(source: str, roots: Iterable[Path]) -> Path:
    """The path on the server that a source names. Raises `Invalid` where imports may not read."""
    if not Path(source).is_absolute():
        raise Invalid(f"{source!r} is not an absolute path on the server", field="source")
    try:
        path = Path(source).resolve()
        there = path.exists()
    except (OSError, ValueError) as error:
        raise Invalid(f"{source[:100]!r} cannot be looked at: {error}", field="source") from error
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise Invalid(
            f"{source} is not in a folder that this server imports from; its operator sets"
            " STEMMA_IMPORT_ROOTS",
            field="source",
        )
    if not there:
        raise Invalid(f"{source} does not exist on the server", field="source")
    return path


def run_import(place: ImportContext, asked: RequestedImport, progress: Progress) -> Ending:
    """Carry an import out and record how it ended.

    Killed at any instant and run again, it goes on and ends as if it had not been. What it raises
    is no fault of the source: a server that does not answer, a process that was killed.
    """
    ending = _ending(place, asked, progress)
    handle(
        place.store,
        asked.request("end"),
        lambda session: session.decide(IMPORT, asked.import_id, EndImport(ending)),
    )
    delete_leftovers(place.blobs, place.store.database_url, asked.import_id)
    return ending


def _ending(place: ImportContext, asked: RequestedImport, progress: Progress) -> Ending:
    prefix = work_prefix(place.store.database_url, asked.import_id)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        work = Path(name)
        report = ProblemReport(work / "report.jsonl")
        try:
            return _Run(place, asked, progress, work, report).run()
        except Invalid as refusal:
            return _refused(place, refusal.detail, report)
        except (Refusal, SourceChanged) as stopped:
            return ImportFailed(str(stopped))
        except BlobMissing:
            return ImportFailed("the uploaded archive is not in the blob store; upload it again")
        except OSError as error:
            if error.errno is None:
                raise
            return ImportFailed(f"{error.strerror}: {error.filename or 'on this server'}")


def _refused(place: ImportContext, reason: str, report: ProblemReport) -> ImportRefused:
    return ImportRefused(
        reason, report.problems, tuple(report.first(LISTED)), report.store(place.blobs)
    )


class _Run:
    def __init__(
        self,
        place: ImportContext,
        asked: RequestedImport,
        progress: Progress,
        work: Path,
        report: ProblemReport,
    ) -> None:
        self._place = place
        self._asked = asked
        self._rules = asked.event.rules
        self._project = asked.event.project_id
        self._progress = progress
        self._work = work
        self._ready = work / "ready.jsonl"
        self._report = report
        self._format = self._rules.format

    def run(self) -> Ending:
        folder = self._folder()
        if self._format == AUTO:
            self._format = detect(folder)
        known = views_of(self._place.store, self._project)
        views = Views(self._project, known, new_concepts=self._rules.new_concepts)
        with image_pool(folder, self._place.images, self._place.blobs_url) as pool:
            contents = self._read(folder, views)
            erased = partial(erased_among, self._place.store)
            check = Check(folder, contents, views, pool, self._report, erased)
            images = self._keep(check.run(self._progress))
            if self._report.problems and not self._rules.skip_bad:
                reason = f"{self._report.problems:,} lines or files cannot be taken; nothing is"
                return _refused(self._place, reason, self._report)
            if not images:
                return _refused(self._place, "the source holds no image to take", self._report)
            take = self._rehearse if self._rules.dry_run else self._take_all
            done = take(views, pool, images)
        counts = ImportCounts(
            images=images, skipped=self._report.problems, notes=self._report.notes, **done
        )
        ending = ImportChecked if self._rules.dry_run else ImportCompleted
        return ending(self._format, counts, self._report.store(self._place.blobs))

    def _keep(self, found: Iterable[Ready]) -> int:
        """Write down what can be taken, since it may be very much; how many images that is."""
        images = 0
        with self._ready.open("wb") as file:
            for one in found:
                file.write(msgspec.json.encode(one) + b"\n")
                images += 1
        return images

    def _take_all(self, views: Views, pool: ImagePool, images: int) -> dict[str, int]:
        """Store every file and record every image, a batch at a time."""
        done = views.make(self._place.store, self._asked.request)
        files = ([(one.path, one.checked.blob) for one in batch] for batch in self._batches())
        taken = 0
        stored = zip(self._batches(), pool.store(files), strict=True)
        # While PostgreSQL records a batch, the next one is decided on.
        with ThreadPoolExecutor(2, thread_name_prefix="take") as threads:
            under_way: deque[tuple[int, Future[Outcome]]] = deque()

            def finish() -> None:
                nonlocal taken
                size, outcome = under_way.popleft()
                _add(done, outcome.result().counts)
                taken += size
                self._progress.show(Phase.TAKING, taken, images)

            for number, (batch, _) in enumerate(stored):
                before = under_way[-1][1] if under_way else None
                taking = threads.submit(self._take, number, batch, views, before)
                under_way.append((len(batch), taking))
                if len(under_way) == 2:
                    finish()
            while under_way:
                finish()
        return done

    def _batches(self) -> Iterator[list[Ready]]:
        decoder = msgspec.json.Decoder(Ready)
        with self._ready.open("rb") as file:
            while lines := list(islice(file, BATCH)):
                yield [decoder.decode(line) for line in lines]

    def _folder(self) -> Path:
        """The source as a folder: where it lies, or unpacked beside our other work."""
        event = self._asked.event
        if event.on_server:
            path = inside_roots(event.source, self._place.roots)
            if path.is_dir():
                return path
        else:
            path = self._work / "upload"
            self._place.blobs.copy_scratch_to(upload_key(self._asked.import_id), path)
        self._progress.show(Phase.UNPACKING, 0, None)
        folder = self._work / "source"
        unpack(path, folder, self._place.archive)
        if not event.on_server:
            path.unlink()
        return _without_wrapper(folder)

    def _read(self, folder: Path, views: Views) -> Contents:
        view = views.choose(self._asked.event.view, self._asked.event.source)
        kind = self._rules.kind or views.kind_of(view)
        return FORMATS[self._format].read(folder, ReadOptions(view, kind, self._rules.clip))

    def _take(
        self, number: int, batch: Sequence[Ready], views: Views, before: "Future[Outcome] | None"
    ) -> Outcome:
        """Record a batch, once the one before it is: the log has images in the source's order."""
        taken = [_taken(self._project, one, views) for one in batch]
        request = msgspec.structs.replace(
            self._asked.request(f"batch {number}"),
            fingerprint=hashlib.sha256(msgspec.json.encode(batch)).hexdigest(),
        )

        def decide(session: Session) -> Decided[Project]:
            decided = take_images(session, self._project, taken)
            if before is not None:
                before.result()
            return decided

        try:
            return handle(self._place.store, request, decide)
        except Conflict as conflict:
            if conflict.field != "Idempotency-Key":
                raise
            raise SourceChanged(
                "the source has changed since the import was interrupted; ask for it again"
            ) from conflict

    def _rehearse(self, views: Views, _: ImagePool, images: int) -> dict[str, int]:
        """What taking all of it would do, decided and not saved."""
        done = views.missing()
        seen = 0
        for batch in self._batches():
            session = Session(self._place.store, self._asked.request("rehearsal"))
            views.pretend(session)
            taken = [_taken(self._project, one, views) for one in batch]
            _add(done, take_images(session, self._project, taken).counts)
            seen += len(batch)
            self._progress.show(Phase.TAKING, seen, images)
        return done


def _taken(project_id: str, one: Ready, views: Views) -> TakenImage:
    checked = one.checked
    return TakenImage(
        one.where,
        AddImage(
            project_id, checked.blob, checked.width, checked.height, one.file_name, one.metadata
        ),
        one.split,
        tuple(views.command(name, answer) for name, answer in one.annotations.items()),
    )


def _without_wrapper(folder: Path) -> Path:
    """What was packed as one folder is that folder, unless its name says something: a class."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        deeper = [path for path in inside[0].iterdir() if path.is_dir() or path.suffix]
        if any(path.is_dir() or path.suffix in _SPEAKING for path in deeper):
            return inside[0]
    return folder


_SPEAKING = {".json", ".jsonl", ".csv", ".xml", ".yaml", ".yml", ".names", ".txt"}


def _add(done: dict[str, int], counts: dict[str, int]) -> None:
    for name, number in counts.items():
        done[name] = done.get(name, 0) + number
