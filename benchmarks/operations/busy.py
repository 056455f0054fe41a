"""What a person waits for while an import runs: a command, and the page that shows it."""

import time
from pathlib import Path
from typing import NamedTuple

from adapters.settings import read_runtime
from benchmarks.database import copy_prepared
from benchmarks.dataset.importing import write_source
from benchmarks.measurements import Expected, Measurement, quantile
from benchmarks.operations.start import await_ready
from benchmarks.peers.raw_http import Client, Refused
from benchmarks.processes import data_folder, stemma
from benchmarks.quiet import repeat
from cli.client import authorization
from domain.dataset.imports import COMPLETED, REQUESTED

IMAGES, QUICK_IMAGES = 20_000, 300
SECONDS_BETWEEN = 0.1


class Busy(NamedTuple):
    """Milliseconds of the reads, how many timed out, and the seconds of the import."""

    reads: list[float]
    refused: int
    seconds: float


def run(quick: bool) -> list[Measurement]:
    """One client makes projects and reads each, with all services running."""
    images = QUICK_IMAGES if quick else IMAGES
    with data_folder() as folder:
        copy_prepared(folder)
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_RATE_LIMIT": "0",
            "STEMMA_IMPORT_ROOTS": str(folder),
        }
        log = folder / "up.log"
        with stemma("up", log=log, settings=settings) as process:
            await_ready(process, log)
            runtime = read_runtime(folder)
            assert runtime is not None
            client = Client(runtime.api_url, authorization(runtime.api_key or ""))
            sources = (
                write_source(
                    folder / f"source {number}", range(number * images, number * images + images)
                )
                for number in range(3)
            )
            done = repeat(1 if quick else 2, lambda: _measure(client, next(sources)))
            client.close()
    what = f"while {images:,} images are imported"
    reads = [result.reads for result in done.results]
    yields = [
        Measurement(
            what=f"written until its writer reads it, {what}: {label}",
            unit="ms",
            ours=tuple(quantile(times, share) for times in reads),
            expected=expected,
            others=done.others,
        )
        for label, share, expected in (("p50", 0.5, None), ("p99", 0.99, Expected(200)))
    ]
    return [
        *yields,
        Measurement(
            what=f"reads that time out, {what}",
            unit="",
            ours=tuple(float(result.refused) for result in done.results),
            expected=Expected(0),
            others=done.others,
        ),
        Measurement(
            what="images imported meanwhile",
            unit="images/s",
            ours=tuple(images / result.seconds for result in done.results),
            others=done.others,
        ),
    ]


def _measure(client: Client, source: Path) -> Busy:
    project = client.call("POST", "/api/v1/projects", {"name": "imported"})["id"]
    requested = client.call("POST", f"/api/v1/projects/{project}/imports", {"source": str(source)})[
        "id"
    ]
    began, reads, refused = time.perf_counter(), [], 0
    while (status := _status(client, requested)) == REQUESTED:
        sent = time.perf_counter()
        made = client.call("POST", "/api/v1/projects", {"name": "benchmark"})
        try:
            client.call("GET", f"/api/v1/projects/{made['id']}?at_least={made['position']}")
        except Refused:
            refused += 1
        reads.append((time.perf_counter() - sent) * 1000)
        time.sleep(SECONDS_BETWEEN)
    if status != COMPLETED:
        raise RuntimeError(f"the import is {status}")
    return Busy(reads, refused, time.perf_counter() - began)


def _status(client: Client, import_id: str) -> str:
    return str(client.call("GET", f"/api/v1/imports/{import_id}")["item"]["status"])
