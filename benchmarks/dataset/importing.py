"""An import of small annotated images in its own process, against a bare copy of their files."""

import hashlib
import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from adapters.dataset.imports.requested import find_requested
from adapters.formats.registry import FORMATS
from application.dataset.imports import request_import
from application.dataset.projects import create_project
from application.log.store import Store
from benchmarks.calls import do
from benchmarks.database import checkpoint, migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import memory_of
from benchmarks.processes import data_folder, stemma, tree
from benchmarks.quiet import Repetitions, repeat
from benchmarks.sizes import size
from domain.dataset.imports import COMPLETED, ImportRules, RequestImport

IMAGES, FULL_IMAGES, QUICK_IMAGES = 20_000, 100_000, 300
SIDES = (32, 48, 64)
PICTURES = 30
LABELS = 10
FILES_A_FOLDER = 1000
LOOK_EVERY = 0.2


class Import(NamedTuple):
    """The cost of an import: seconds from the start of its process to its end, and peaks in MiB."""

    seconds: float
    pss: float
    rss: float


class Measured(NamedTuple):
    """An import of all images, one of a tenth of the number, and the seconds of copying all."""

    whole: Import
    tenth: Import
    bare: float


def run(quick: bool) -> list[Measurement]:
    """Images a second, measured once since it takes minutes, and the memory of the import's
    processes.

    The copy does no fsync, keeps no order and checks nothing. PostgreSQL's memory is not included.
    """
    images = QUICK_IMAGES if quick else size(IMAGES, FULL_IMAGES)
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, _),
    ):
        whole = write_source(folder / "whole", range(images))
        tenth = write_source(folder / "tenth", range(images, images + images // 10))
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_IMPORT_ROOTS": str(folder),
        }

        # Folders of their own: where many files were deleted, ext4 makes new ones ten times as
        # slowly for minutes.
        numbers = itertools.count()

        def measure() -> Measured:
            imported = []
            for source, count in ((tenth, images // 10), (whole, images)):
                checkpoint(server.admin_url)
                blobs = {"STEMMA_BLOBS_URL": f"file://{folder}/blobs-{next(numbers)}"}
                imported.append(_import(store, source, count, settings | blobs))
            seconds = _copy(whole, folder / f"copies-{next(numbers)}")
            return Measured(imported[1], imported[0], seconds)

        done = repeat(1, measure, spare=0 if quick else 1)
    return list(_measurements(images, done))


def _measurements(images: int, done: Repetitions[Measured]) -> Iterator[Measurement]:
    yield Measurement(
        what=f"{images:,} images of {SIDES[0]} to {SIDES[-1]} px with annotations, from CSV",
        unit="images/s",
        ours=tuple(images / measured.whole.seconds for measured in done.results),
        alternative="read, hash and copy each file",
        theirs=tuple(images / measured.bare for measured in done.results),
        expected=Expected(0.5, at_least=True),
        others=done.others,
    )
    peak = "peak memory of the import's processes"
    yield Measurement(
        what=f"{peak} (PSS)",
        unit="MiB",
        ours=tuple(measured.whole.pss for measured in done.results),
        expected=Expected(500),
        others=done.others,
    )
    yield Measurement(
        what=f"{peak} for {images // 10:,} images (PSS)",
        unit="MiB",
        ours=tuple(measured.tenth.pss for measured in done.results),
        others=done.others,
    )
    yield Measurement(
        what=f"{peak}, shared pages counted for each (RSS)",
        unit="MiB",
        ours=tuple(measured.whole.rss for measured in done.results),
        others=done.others,
    )


def write_source(folder: Path, numbers: range) -> Path:
    """A CSV table and its JPEG files: a few pictures, with a different comment in each file."""
    pictures = [_jpeg(number) for number in range(PICTURES)]
    lines = ["file,label,split,meta:camera"]
    for number in numbers:
        path = f"{number // FILES_A_FOLDER:03}/{number:06}.jpg"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(_commented(pictures[number % PICTURES], b"%d" % number))
        split = "validation" if number // LABELS % 5 == 0 else "train"
        lines.append(f"{path},label {number % LABELS},{split},north")
    (folder / "annotations.csv").write_text("\n".join([*lines, ""]))
    return folder


def _jpeg(number: int) -> bytes:
    side = SIDES[number % len(SIDES)]
    pixels = np.random.default_rng(number).integers(0, 256, (side // 4, side // 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(file, "JPEG")
    return file.getvalue()


def _commented(jpeg: bytes, comment: bytes) -> bytes:
    """A JPEG with a COM segment (ITU-T T.81, B.2.4.5) after its start marker."""
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + jpeg[2:]


def _import(store: Store, source: Path, images: int, settings: dict[str, str]) -> Import:
    """Run an import into a new project, as the import service does."""
    project_id = do(store, lambda session: create_project(session, "Imported")).id
    command = RequestImport(project_id, str(source), True, None, ImportRules())
    requested = do(store, lambda session: request_import(session, command, frozenset(FORMATS)))
    log = source.with_suffix(".log")
    peaks = [(0.0, 0.0)]
    began = time.perf_counter()
    with stemma("carry-out-import", requested.id, log=log, settings=settings) as process:
        while process.poll() is None:
            peaks.append(memory_of(tree(process.pid)))
            time.sleep(LOOK_EVERY)
    seconds = time.perf_counter() - began
    _, state = find_requested(store, requested.id)
    if state.status != COMPLETED:
        raise RuntimeError(f"the import is {state}: {log.read_text()}")
    assert sum(1 for _ in store.image_streams(project_id, upto=store.head())) == images
    return Import(seconds, max(pss for pss, _ in peaks), max(rss for _, rss in peaks))


def _copy(source: Path, copies: Path) -> float:
    """Seconds to copy each image to a file named by its digest."""
    began = time.perf_counter()
    for path in source.glob("*/*.jpg"):
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        copy = copies / digest[:2] / digest
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
    return time.perf_counter() - began
