"""One way to freeze a dataset, in a process of its own, so that its memory can be measured.

`policy` is the policies' way. `fold` is the naive way: all images of the log in a dictionary. Reads
a `Task` from stdin and writes a `Frozen` to stdout.
"""

import sys
import time
from functools import partial

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.training.policy_feed import put_manifest
from application.log.store import Store
from application.training.policies import Effects, react
from benchmarks.memory import peak
from domain.aggregates import VERSION
from domain.dataset import image
from domain.dataset.image import ImageAdded, ImageAnnotated, ImageRemoved, ImageSplitAssigned
from domain.event import Recorded, name_of
from domain.training import manifest
from domain.training.manifest import PlacedImage
from domain.training.version import DatasetFrozen, VersionCreated

IMAGE_EVENTS = [
    name_of(event) for event in (ImageAdded, ImageAnnotated, ImageSplitAssigned, ImageRemoved)
]


class Task(msgspec.Struct, frozen=True):
    """The version to freeze, and the addresses of the database and the blobs."""

    database_url: str
    blobs_url: str
    version_id: str


class Frozen(msgspec.Struct, frozen=True):
    """The manifest's digest, the seconds it took, and the peak memory of the process in MiB."""

    manifest: str
    seconds: float
    peak: float


def main() -> None:
    way = {"policy": by_policy, "fold": by_fold}[sys.argv[1]]
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    store, blobs = Store(task.database_url), BlobStore.from_url(task.blobs_url)
    created = _events(store, task.version_id)[0]
    began = time.perf_counter()
    digest = way(store, blobs, created)
    frozen = Frozen(digest, time.perf_counter() - began, peak())
    store.close()
    sys.stdout.buffer.write(msgspec.json.encode(frozen))


def by_policy(store: Store, blobs: BlobStore, created: Recorded) -> str:
    react(store, Effects(partial(put_manifest, blobs), lambda _: None), created)
    frozen = _events(store, created.entity_id)[1].event
    assert isinstance(frozen, DatasetFrozen)
    return frozen.manifest


def by_fold(store: Store, blobs: BlobStore, created: Recorded) -> str:
    version = created.event
    assert isinstance(version, VersionCreated)
    images: dict[str, image.Image | None] = {}
    for recorded in store.read_all(upto=version.log_position, names=IMAGE_EVENTS):
        key = recorded.entity_id
        images[key] = image.evolve(images.get(key), recorded.event)
    frozen_images = (
        PlacedImage(key, state, 0)
        for key, state in sorted(images.items())
        if state is not None and not state.removed and state.project_id == version.project_id
    )
    concepts = frozenset(concept.concept_id for concept in version.concepts)
    lines = manifest.manifest(
        frozen_images,
        version.view_id,
        version.kind,
        concepts,
        negative_validation=version.negative_validation,
        reviewed_only=version.reviewed_only,
    )
    return put_manifest(blobs, map(manifest.canonical_line, lines))


def _events(store: Store, version_id: str) -> list[Recorded]:
    stream = VERSION.stream(version_id)
    return store.streams([stream])[stream]


if __name__ == "__main__":
    main()
