"""Our append, with everything that it does, against raw saves of the `eventsourcing` library."""

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import DomainEvent

from application.handle import Outcome, new_metadata
from application.log.recorder import CommandRow
from application.log.store import Store
from benchmarks.database import checkpoint, library_environment, migrated_postgres
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from domain.aggregates import IMAGE, PROJECT
from domain.dataset.image import ImageAdded
from domain.event import Recorded

SINGLES, BATCHES, BATCH = 300, 5, 1000
QUICK_SINGLES, QUICK_BATCHES, QUICK_BATCH = 10, 1, 50
RAW = "raw"
PROJECT_ID = str(uuid.uuid4())


@dataclass(frozen=True)
class RawImageAdded(DomainEvent):
    """The payload of `ImageAdded` as an event of the library, without our envelope."""

    project_id: str
    blob: str
    width: int
    height: int
    file_name: str
    metadata: dict[str, str]


def run(quick: bool) -> list[Measurement]:
    """Events saved a second, one at a time and in batches; ours and theirs alternate."""
    singles, batches, batch = (
        (QUICK_SINGLES, QUICK_BATCHES, QUICK_BATCH) if quick else (SINGLES, BATCHES, BATCH)
    )
    with data_folder() as folder, migrated_postgres(folder) as server:
        with psycopg.connect(server.admin_url) as admin:
            admin.execute(f"CREATE SCHEMA {RAW}")
        store = Store(server.app_url)
        raw: Application[uuid.UUID] = Application(library_environment(server.admin_url, RAW))
        try:

            def measure(saves: int, size: int) -> tuple[float, float]:
                checkpoint(server.admin_url)
                return take_turns(
                    lambda: append_images(store, size), lambda: _save(raw, size), saves, size
                )

            times, spare = (1, 0) if quick else (5, 3)
            alone = repeat(times, lambda: measure(singles, 1), spare=spare)
            together = repeat(times, lambda: measure(batches, batch), spare=spare)
        finally:
            store.close()
            raw.close()
    return [
        _measurement("single events, each with its command", alone.results, alone.others),
        _measurement(f"batches of {batch:,} events", together.results, together.others),
    ]


def _measurement(what: str, results: Sequence[tuple[float, float]], others: float) -> Measurement:
    ours, theirs = zip(*results, strict=True)
    return Measurement(
        what=what,
        unit="events/s",
        ours=ours,
        alternative="raw eventsourcing saves",
        theirs=theirs,
        expected=Expected(0.9, at_least=True),
        others=others,
    )


def take_turns(
    ours: Callable[[], None], theirs: Callable[[], None], saves: int, size: int
) -> tuple[float, float]:
    """Events a second of each; the saves alternate, so that disturbances affect both equally."""
    seconds = [0.0, 0.0]
    for _ in range(saves):
        for side, save in enumerate((ours, theirs)):
            began = time.perf_counter()
            save()
            seconds[side] += time.perf_counter() - began
    return saves * size / seconds[0], saves * size / seconds[1]


def append_images(store: Store, size: int) -> None:
    """Append as `application.handle` does: envelope, outcome, command row, unchanged streams."""
    command_id = str(uuid.uuid4())
    events = []
    for _ in range(size):
        metadata = new_metadata("user:ada", command_id, command_id, None)
        events.append(Recorded(IMAGE.stream(str(uuid.uuid4())), 1, _image_added(), metadata))
    outcome = Outcome(PROJECT_ID, 1, 0)
    store.append(
        events,
        command=CommandRow(command_id, "fingerprint", msgspec.json.encode(outcome)),
        unchanged={PROJECT.stream(PROJECT_ID): 0},
    )


def _image_added() -> ImageAdded:
    return ImageAdded(PROJECT_ID, _digest(), 640, 480, "image-000001.png", {"camera": "north"})


def _save(raw: "Application[uuid.UUID]", size: int) -> None:
    raw.save(
        *(
            RawImageAdded(
                originator_id=uuid.uuid4(),
                originator_version=1,
                timestamp=RawImageAdded.create_timestamp(),
                project_id=PROJECT_ID,
                blob=_digest(),
                width=640,
                height=480,
                file_name="image-000001.png",
                metadata={"camera": "north"},
            )
            for _ in range(size)
        )
    )


def _digest() -> str:
    return hashlib.sha256(uuid.uuid4().bytes).hexdigest()
