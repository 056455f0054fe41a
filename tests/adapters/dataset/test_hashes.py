"""The service that hashes images: all that are near are found, once, and forgotten when erased."""

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from adapters.dataset import hashes
from adapters.dataset.hashes import Hasher, hash_new, store_hashes
from application.dataset.erasure import erase_image
from application.dataset.projects import add_images
from application.log.store import Store
from domain.dataset.image import AddImage, EraseImage
from projections.dataset.near_duplicates import FARTHEST, FEED
from tests.adapters.dataset.importing import Importer
from tests.application.scenes import EVERYTHING
from tests.real_images import altered, encoded, photographs
from tests.servers import Database

Pairs = dict[tuple[str, str], int]


def stored(engine: Engine) -> Pairs:
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT blob, other, distance FROM work.near_images"))
        return {(row.blob, row.other): row.distance for row in rows}


def test_all_that_are_near_are_found(engine: Engine) -> None:
    """As by comparing every two: hashes of all distances, around a few."""
    chance = random.Random(3)
    values: dict[str, int] = {}
    for centre in range(12):
        value = chance.getrandbits(64)
        for number in range(12):
            flipped = chance.sample(range(64), number)
            values[f"{centre:02}-{number:02}"] = value ^ sum(1 << bit for bit in flipped)
    expected = {
        pair: distance
        for pair in itertools.permutations(values, 2)
        if (distance := (values[pair[0]] ^ values[pair[1]]).bit_count()) <= FARTHEST
    }
    blobs = chance.sample(sorted(values), len(values))
    for blob in blobs:
        with engine.begin() as connection:
            store_hashes(connection, {blob: values[blob]})
    assert len(set(expected.values())) == FARTHEST
    assert stored(engine) == expected
    with engine.begin() as connection:
        store_hashes(connection, values)
    assert stored(engine) == expected


def test_a_hash_is_paired_with_the_nearest_of_very_many(engine: Engine) -> None:
    with engine.begin() as connection:
        store_hashes(connection, {f"{number:03}": 1 << 63 for number in range(60)})
    pairs = stored(engine)
    assert len(pairs) == 2 * sum(min(number, hashes.MOST_NEAR) for number in range(60))
    assert set(pairs.values()) == {0}


class Photos(Importer):
    """A project with photographs, and a hasher of its blobs."""

    def add(self, *files: bytes) -> list[str]:
        """The blobs of files that are added as images."""
        blobs = [self.blobs.put(data) for data in files]
        additions = [AddImage(self.project, blob, 9, 9, "photo.png") for blob in blobs]
        self.do(f"add {blobs}", lambda session: add_images(session, self.project, additions))
        return blobs


@pytest.fixture
def photos(store: Store, migrated: Database, tmp_path: Path) -> Photos:
    return Photos(store, tmp_path, migrated.app_url)


@pytest.fixture
def hasher(photos: Photos) -> Iterator[Hasher]:
    made = Hasher(photos.blobs, 1_000_000)
    yield made
    made.close()


def test_images_are_hashed_as_they_join_and_those_before(
    photos: Photos, hasher: Hasher, engine: Engine, store: Store
) -> None:
    stop = threading.Event()
    first, second = photographs()[0], photographs()[5]
    original, other = photos.add(encoded(first), encoded(second))
    hash_new(store, engine, hasher, stop)
    assert stored(engine) == {}
    copies = photos.add(*(data for _, data in altered(first)))
    hash_new(store, engine, hasher, stop)
    near = {pair[1] for pair in stored(engine) if pair[0] == original}
    assert near == set(copies)
    assert not any(other in pair for pair in stored(engine))
    assert store.tracked(FEED) == store.head()


def test_a_page_that_is_hashed_again_changes_nothing(
    photos: Photos, hasher: Hasher, engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a page's hashes and the feed's position, it hashes the page again."""
    monkeypatch.setattr(hashes, "PAGE", 2)
    stop = threading.Event()
    photos.add(*(data for _, data in altered(photographs()[0])))

    class Killed(Exception):
        pass

    def kill(*_: object, **__: object) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", kill)
        with pytest.raises(Killed):
            hash_new(store, engine, hasher, stop)
    hash_new(store, engine, hasher, stop)
    assert len(stored(engine)) == 4 * 3


def test_an_erased_image_leaves_no_hash(
    photos: Photos, hasher: Hasher, engine: Engine, store: Store
) -> None:
    stop = threading.Event()
    photo = photographs()[0]
    original, copy = photos.add(encoded(photo), encoded(photo, "JPEG", quality=80))
    hash_new(store, engine, hasher, stop)
    assert len(stored(engine)) == 2
    erased = next(key for key, image in photos.images().items() if image.blob == copy)
    photos.do("erase", lambda s: erase_image(s, erased, EraseImage("asked"), EVERYTHING))
    photos.blobs.erase(copy)
    hash_new(store, engine, hasher, stop)
    assert stored(engine) == {}
    with engine.begin() as connection:
        blobs = connection.execute(text("SELECT blob FROM work.image_hashes")).scalars()
        assert list(blobs) == [original]
