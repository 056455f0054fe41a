"""The service that deletes the bytes of erased images, and deletes them again if they reappear."""

import logging
import threading
import time
from functools import partial

from adapters.blobs.blobs import BlobStore
from adapters.postgres.log_growth import log_growth
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from application.dataset.erasure import REACTS_TO, orders, react
from application.log.store import Store

FEED = "erasures"

SWEEP_SECONDS = 3600.0
"""Seconds between two sweeps. Bytes that a concurrent upload or thumbnail restores stay no longer
than this."""

log = logging.getLogger(__name__)


def run_eraser(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Carry out erasure orders until `stop` is set.

    Needs no NATS. If the blob store is unavailable, the service fails and is restarted.
    """
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    erase = partial(react, store, blobs.erase)
    next_sweep = time.monotonic()
    for _ in log_growth(settings.require("database_url"), stop, REACTS_TO):
        react_to_all(store, FEED, REACTS_TO, erase)
        if time.monotonic() >= next_sweep:
            sweep(store, blobs)
            next_sweep = time.monotonic() + SWEEP_SECONDS


def sweep(store: Store, blobs: BlobStore) -> None:
    """Delete erased blobs that were stored again."""
    for order in orders(store):
        if copies := blobs.copies(order.entity_id):
            log.warning("erased blobs were stored again; deleted: %s", ", ".join(copies))
            blobs.erase(order.entity_id)
