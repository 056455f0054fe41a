"""The part that deletes the bytes of erased images, and sees that they stay away."""

import logging
import threading
import time
from functools import partial

from adapters.blobs.blobs import BlobStore
from adapters.postgres.postgres import wake_ups
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from application.dataset.erasure import REACTS_TO, orders, react
from application.log.store import CHANNEL, Store

FEED = "erasures"

SWEEP_SECONDS = 3600.0
"""An upload or a thumbnail that was under way may bring bytes back: so long at most they stay."""

log = logging.getLogger(__name__)


def run_eraser(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Erase what is ordered until `stop` is set. Needs no NATS; while the blob store is away, the
    part fails and begins again."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    erase = partial(react, store, blobs.erase)
    next_sweep = time.monotonic()
    for _ in wake_ups(settings.require("database_url"), CHANNEL, stop):
        react_to_all(store, FEED, REACTS_TO, erase)
        if time.monotonic() >= next_sweep:
            sweep(store, blobs)
            next_sweep = time.monotonic() + SWEEP_SECONDS


def sweep(store: Store, blobs: BlobStore) -> None:
    """Erase again whatever has come back."""
    for order in orders(store):
        if found := blobs.copies(order.entity_id):
            log.warning("erased, but there again, and deleted: %s", ", ".join(found))
            blobs.erase(order.entity_id)
