"""`stemma audit verify` against a loop that only hashes what it reads.

Both read the same pages of the same columns. The loop computes the SHA-256 of each stored payload
and nothing else.
"""

import tempfile
import time
from hashlib import sha256
from pathlib import Path

import psycopg

from adapters.audit.checkpoint_file import CheckpointFile
from adapters.audit.keys import Keys
from adapters.audit.signer import Pace, Signer
from adapters.audit.stored import events
from adapters.audit.verify import verify
from benchmarks.database import migrated_postgres
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all, image_events

EVENTS, QUICK_EVENTS = 200_000, 1_000


def run(quick: bool) -> list[Measurement]:
    """Events a second of a signed log."""
    count = QUICK_EVENTS if quick else EVENTS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        tempfile.TemporaryDirectory() as audit,
    ):
        copy_all(server.admin_url, image_events(count))
        keys = Keys(Path(audit) / "key")
        signer = Signer(keys, CheckpointFile(Path(audit) / "checkpoints"), Pace(1, 0.0))
        with psycopg.connect(server.app_url, autocommit=True) as connection:
            signer.begin(connection)
            signer.sign_if_due(connection)

        def verified() -> float:
            began = time.perf_counter()
            report = verify(server.app_url, keys.verifiers(), [])
            assert (report.findings, report.covered) == ([], count)
            return count / (time.perf_counter() - began)

        def measure() -> tuple[float, float]:
            return verified(), _hashed(server.app_url, count)

        done = repeat(1 if quick else 5, measure, spare=0 if quick else 3)
    ours, theirs = zip(*done.results, strict=True)
    return [
        Measurement(
            what=f"verify {count:,} events",
            unit="events/s",
            ours=ours,
            alternative="SHA-256 of each payload, read in the same way",
            theirs=theirs,
            expected=Expected(0.5, at_least=True),
            others=done.others,
        )
    ]


def _hashed(url: str, count: int) -> float:
    began = time.perf_counter()
    digests = 0
    with psycopg.connect(url) as connection:
        for page in events(connection):
            for row in page:
                sha256(row[4]).digest()
                digests += 1
    assert digests == count
    return count / (time.perf_counter() - began)
