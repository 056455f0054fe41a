"""Freezing of a version's dataset from a log of a million images, against folding the whole log."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from application import views
from application.dataset import projects
from application.handle import Decided, Session
from application.log.store import Store
from application.training import versions
from benchmarks.calls import do, milliseconds_each, quantiles
from benchmarks.database import checkpoint, migrated_postgres, opened
from benchmarks.dataset.freezing_process import Frozen, Task
from benchmarks.measurements import Measurement
from benchmarks.processes import data_folder, environment
from benchmarks.quiet import Repetitions, repeat
from benchmarks.sample_events import copy_all, recorded
from benchmarks.sizes import size
from domain.aggregates import IMAGE
from domain.dataset.image import (
    Annotation,
    ImageAdded,
    ImageAnnotated,
    ImageSplitAssigned,
    image_id,
)
from domain.event import Recorded
from domain.training.version import Version

IMAGES, FULL_IMAGES, QUICK_IMAGES = 200_000, 1_000_000, 2000
FEWER = 10
"""The factor by which the other project has fewer images."""
VALIDATES = 5
"""One image of this number is held out."""
CALLS, QUICK_CALLS = 50, 3
LABELS = [f"concept {number}" for number in range(10)]


class Pets(NamedTuple):
    """A project, its view, and the view's concepts."""

    project_id: str
    view_id: str
    concepts: Sequence[str]


class Measured(NamedTuple):
    """The milliseconds of each answer, and the results of the policy and of the fold."""

    answers: list[float]
    policy: Frozen
    fold: Frozen


def run(quick: bool) -> list[Measurement]:
    """The response time of creating a version; then freezing, by the policy and by the fold.

    Measured once, since it takes minutes.
    """
    images = QUICK_IMAGES if quick else size(IMAGES, FULL_IMAGES)
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, _),
    ):
        pets, others = _project(store, "Pets"), _project(store, "Others")
        copy_all(server.admin_url, _imported(pets, others, images))
        assert store.count() == store.head()

        def measure() -> Measured:
            checkpoint(server.admin_url)
            version_ids: list[str] = []
            answers = milliseconds_each(
                lambda: version_ids.append(do(store, partial(_train, pets.view_id)).id),
                QUICK_CALLS if quick else CALLS,
            )
            policy, fold = (
                _freeze(way, Task(server.app_url, f"file://{folder}/{way}", version_ids[-1]))
                for way in ("policy", "fold")
            )
            assert policy.manifest == fold.manifest, "the manifests differ"
            return Measured(answers, policy, fold)

        done = repeat(1, measure, spare=0 if quick else 1)
    return list(_measurements(images, done))


def _measurements(images: int, done: Repetitions[Measured]) -> Iterator[Measurement]:
    what = f"{images:,} images frozen"
    beside = f"beside {images // FEWER:,} of another project"
    measurements: dict[tuple[str, str], Callable[[Frozen], float]] = {
        (f"{what}, {beside}", "s"): lambda frozen: frozen.seconds,
        (f"{what}: lines of the manifest", "lines/s"): lambda frozen: images / frozen.seconds,
        (f"{what}: peak memory of the process", "MiB"): lambda frozen: frozen.peak,
    }
    for (name, unit), value in measurements.items():
        yield Measurement(
            what=name,
            unit=unit,
            ours=tuple(value(measured.policy) for measured in done.results),
            alternative="all images of the log in a dictionary",
            theirs=tuple(value(measured.fold) for measured in done.results),
            others=done.others,
        )
    answers = [measured.answers for measured in done.results]
    yield from quantiles("the answer to who creates that version", answers, done.others)


def _project(store: Store, name: str) -> Pets:
    project_id = do(store, lambda session: projects.create_project(session, name)).id
    view_id = do(
        store, lambda session: views.create_view(session, project_id, "which", "classification")
    ).id
    concepts = do(store, lambda session: views.add_concepts(session, view_id, LABELS)).ids
    return Pets(project_id, view_id, concepts)


def _train(view_id: str, session: Session) -> Decided[Version]:
    return versions.train_view(session, view_id, None, {})


def _imported(pets: Pets, others: Pets, images: int) -> Iterator[Recorded]:
    """The images of both projects as imports record them, interleaved."""
    for number in range(images):
        yield from _image(pets, number)
        if number % FEWER == 0:
            yield from _image(others, number)


def _image(pets: Pets, number: int) -> Iterator[Recorded]:
    blob = hashlib.sha256(b"%d" % number).hexdigest()
    stream = IMAGE.stream(image_id(pets.project_id, blob))
    file_name, metadata = f"image-{number:07}.png", {"camera": "north"}
    yield recorded(stream, 1, ImageAdded(pets.project_id, blob, 640, 480, file_name, metadata))
    held_out = number // len(LABELS) % VALIDATES == 0
    if held_out:
        yield recorded(stream, 2, ImageSplitAssigned("validation"))
    annotations = (Annotation(pets.concepts[number % len(LABELS)]),)
    yield recorded(stream, 3 if held_out else 2, ImageAnnotated(pets.view_id, annotations, False))


def _freeze(way: str, task: Task) -> Frozen:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dataset.freezing_process", way],
        input=msgspec.json.encode(task),
        stdout=subprocess.PIPE,
        env=environment({}),
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Frozen)
