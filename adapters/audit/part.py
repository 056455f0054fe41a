"""The service `checkpoints`: signs checkpoints as the log grows, and publishes them to NATS."""

import logging
import threading
import time

import psycopg

from adapters.audit.announce import announce
from adapters.audit.checkpoint_file import CheckpointFile, SigningRefused
from adapters.audit.keys import Keys
from adapters.audit.signer import Pace, Signer
from adapters.nats.login import nats_login
from adapters.settings import Settings
from application.log.store import KEEPALIVE_OPTIONS, Store

LOOK_SECONDS, PAUSE_SECONDS = 0.2, 5.0
"""With the default pace of a checkpoint each half second, an event is signed within a second."""

log = logging.getLogger(__name__)


def run_checkpoints(settings: Settings, _: Store, stop: threading.Event) -> None:
    """Sign until `stop` is set. Another thread publishes to NATS, so that signing does not wait.

    While the log contradicts an earlier signature, nothing is signed. A third thread compares the
    events that are too many to be compared at the start.
    """
    url, nats = settings.require("database_url"), nats_login(settings)
    signed, ended = threading.Event(), threading.Event()
    publisher = threading.Thread(target=announce, args=(url, nats, signed, ended))
    publisher.start()
    whole = False
    try:
        while not stop.is_set():
            started = time.monotonic()
            try:
                _sign(settings, url, signed, stop, whole)
            except SigningRefused as refused:
                whole = True
                log.critical("NO CHECKPOINT IS SIGNED: %s", refused)
                # A retry reads the whole log.
                stop.wait(max(PAUSE_SECONDS, 5 * (time.monotonic() - started)))
    finally:
        ended.set()
        signed.set()  # wakes the publisher, which then stops
        publisher.join()


def _sign(
    settings: Settings, url: str, signed: threading.Event, stop: threading.Event, whole: bool
) -> None:
    signer = Signer(
        Keys(settings.signing_key_file, settings.log_origin),
        CheckpointFile(settings.checkpoint_file),
        Pace(settings.log_checkpoint_events, settings.log_checkpoint_seconds),
    )
    ended = threading.Event()
    comparing = threading.Thread(target=_compare, args=(signer, url, ended), name="compare log")
    with psycopg.connect(url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
        signer.begin(connection, whole=whole)
        comparing.start()
        try:
            while not stop.wait(LOOK_SECONDS):
                if signer.sign_if_due(connection) is not None:
                    signed.set()
        finally:
            ended.set()
            comparing.join()


def _compare(signer: Signer, url: str, ended: threading.Event) -> None:
    """Again from the log's beginning if the connection breaks."""
    while not ended.is_set():
        try:
            with psycopg.connect(url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
                signer.compare(connection, ended)
            return
        except psycopg.Error as error:
            log.warning("comparing the whole log was interrupted and restarts: %s", error)
            ended.wait(PAUSE_SECONDS)
