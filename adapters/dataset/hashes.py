"""The service that makes the perceptual hashes of images, and finds those that are near."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from sqlalchemy import Connection, Engine, text

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.images.decoders import AT_ONCE, LONGEST_SECONDS, Decoder
from adapters.images.decoding import Undecodable
from adapters.images.perceptual import BITS
from adapters.postgres.log_growth import log_growth
from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from application.log.store import AppendRefused, Store
from domain.dataset.blob import BlobErasureOrdered
from domain.dataset.image import ImageAdded
from domain.dataset.pixels import HASH_RULE
from domain.event import name_of
from projections.dataset.near_duplicates import FARTHEST, FEED

REACTS_TO = (name_of(ImageAdded), name_of(BlobErasureOrdered))
PAGE = 200

MOST_NEAR = 50
"""The nearest images that one is paired with as it is hashed: a thousand frames of a still scene
would be half a million pairs. What they connect stays connected."""

MOST_CANDIDATES = 2000
"""The most images that are compared for each band: of very many that look alike, all would be."""

_MASKS = (0, *(1 << bit for bit in range(BITS // 4)))

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('image hashes'))")
_KNOWN = text("SELECT blob FROM work.image_hashes WHERE blob = ANY(:blobs)")
_INSERT = text(
    "INSERT INTO work.image_hashes (blob, rule, hash)"
    " VALUES (:blob, :rule, :hash) ON CONFLICT DO NOTHING"
)
_CANDIDATES = " UNION ".join(
    f"(SELECT blob, hash FROM work.image_hashes JOIN unnest(CAST(:masks AS int[])) AS mask"
    f" ON band_{band} = mask # CAST(:band_{band} AS int) LIMIT {MOST_CANDIDATES})"
    for band in range(4)
)
_NEAR = text(
    f"""
    WITH near AS (
        SELECT blob, bit_count((hash # CAST(:hash AS bigint))::bit({BITS})) AS distance
        FROM ({_CANDIDATES}) AS candidate
        WHERE blob <> :blob
            AND bit_count((hash # CAST(:hash AS bigint))::bit({BITS})) <= {FARTHEST}
        ORDER BY distance, blob LIMIT {MOST_NEAR}
    )
    INSERT INTO work.near_images (blob, other, distance)
    SELECT blob, :blob, distance FROM near UNION ALL SELECT :blob, blob, distance FROM near
    ON CONFLICT DO NOTHING
    """
)
_FORGET = (
    text("DELETE FROM work.image_hashes WHERE blob = ANY(:blobs)"),
    text("DELETE FROM work.near_images WHERE blob = ANY(:blobs) OR other = ANY(:blobs)"),
)
_FORGET_OTHER_RULES = (
    text(
        "DELETE FROM work.near_images WHERE EXISTS (SELECT FROM work.image_hashes AS hashed"
        " WHERE rule <> :rule AND hashed.blob IN (near_images.blob, near_images.other))"
    ),
    text("DELETE FROM work.image_hashes WHERE rule <> :rule"),
)

log = logging.getLogger(__name__)


def run_hashes(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Hash the images that join, until `stop` is set, and those that joined before it ran first.

    Needs no NATS. If the blob store is unavailable, the service fails and is restarted.
    """
    url = settings.require("database_url")
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    engine = engine_for(url, 1)
    hasher = Hasher(blobs, settings.max_image_pixels)
    try:
        with engine.begin() as connection:
            for statement in _FORGET_OTHER_RULES:
                connection.execute(statement, {"rule": HASH_RULE})
        for _ in log_growth(url, stop, REACTS_TO):
            hash_new(store, engine, hasher, stop)
    finally:
        hasher.close()
        engine.dispose()


class Hasher:
    """Hashes of stored images, made in a few processes with limited memory and time."""

    def __init__(self, blobs: BlobStore, max_pixels: int) -> None:
        self._blobs = blobs
        self._decoders = [Decoder(max_pixels, LONGEST_SECONDS) for _ in range(AT_ONCE)]
        self._free: SimpleQueue[Decoder] = SimpleQueue()
        for decoder in self._decoders:
            self._free.put(decoder)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hash")

    def hashes(self, blobs: Sequence[str]) -> dict[str, int]:
        """By blob; without flat images, and those that were erased meanwhile."""
        made = zip(blobs, self._threads.map(self._hash, blobs), strict=True)
        return {blob: found for blob, found in made if found is not None}

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for decoder in self._decoders:
            decoder.close()

    def _hash(self, blob: str) -> int | None:
        decoder = self._free.get()
        try:
            return decoder.perceptual_hash(self._blobs.get(blob))
        except BlobMissing:
            return None
        except Undecodable as error:
            log.warning("image %s cannot be compared with others: %s", blob, error)
            return None
        finally:
            self._free.put(decoder)


def hash_new(store: Store, engine: Engine, hasher: Hasher, stop: threading.Event) -> None:
    """Hash the images that the log has after the feed's position, a page at a time.

    The position moves on after the page's hashes are stored; storing them again changes nothing.
    """
    position = store.tracked(FEED)
    head = store.head()
    took = 0.0
    # An import brings thousands: then half of the time is left to others.
    while not stop.wait(took):
        began = time.monotonic()
        page = store.read(position, upto=head, limit=PAGE, names=REACTS_TO)
        added, erased = dict[str, None](), list[str]()
        for recorded in page:
            match recorded.event:
                case ImageAdded(blob=blob):
                    added[blob] = None
                case BlobErasureOrdered():
                    erased.append(recorded.entity_id)
        with engine.begin() as connection:
            known = set(connection.execute(_KNOWN, {"blobs": list(added)}).scalars())
        hashes = hasher.hashes([blob for blob in added if blob not in known])
        with engine.begin() as connection:
            store_hashes(connection, hashes)
            for statement in _FORGET if erased else ():
                connection.execute(statement, {"blobs": erased})
        following = page[-1].position if page else head
        if following > position:
            try:
                store.append([], tracking=(FEED, following))
            except AppendRefused:
                return  # another process does the same; go on from its position
        if not page:
            return
        position = following
        took = time.monotonic() - began if len(page) == PAGE else 0.0


def store_hashes(connection: Connection, hashes: Mapping[str, int]) -> None:
    """Store hashes by blob, and the pairs that they are near to."""
    if hashes:
        # Two who store at once would not see each other's.
        connection.execute(_LOCK)
    for blob, value in hashes.items():
        signed = value - (1 << BITS) if value >> (BITS - 1) else value
        bands = {f"band_{band}": value >> 16 * band & 0xFFFF for band in range(4)}
        connection.execute(_INSERT, {"blob": blob, "rule": HASH_RULE, "hash": signed})
        connection.execute(_NEAR, {"blob": blob, "hash": signed, "masks": list(_MASKS), **bands})
