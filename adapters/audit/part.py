"""The part `checkpoints`: signs as the log grows, and lets NATS know."""

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
from application.log.store import GIVES_UP, Store

LOOK_SECONDS, PAUSE_SECONDS = 0.5, 5.0

log = logging.getLogger(__name__)


def run_checkpoints(settings: Settings, _: Store, stop: threading.Event) -> None:
    """Sign until `stop` is set. A thread of its own tells NATS: signing does not wait for that.

    As long as the log contradicts what was signed, nothing is.
    """
    url, nats = settings.require("database_url"), nats_login(settings)
    signed, over = threading.Event(), threading.Event()
    telling = threading.Thread(target=announce, args=(url, nats, signed, over))
    telling.start()
    try:
        while not stop.is_set():
            began = time.monotonic()
            try:
                _sign(settings, url, signed, stop)
            except SigningRefused as refused:
                log.critical("NO CHECKPOINT IS SIGNED: %s", refused)
                # To look again takes as long as to read the log.
                stop.wait(max(PAUSE_SECONDS, 5 * (time.monotonic() - began)))
    finally:
        over.set()
        signed.set()  # what waits for it, stops
        telling.join()


def _sign(settings: Settings, url: str, signed: threading.Event, stop: threading.Event) -> None:
    signer = Signer(
        Keys(settings.signing_key_file, settings.log_origin),
        CheckpointFile(settings.checkpoint_file),
        Pace(settings.log_checkpoint_events, settings.log_checkpoint_seconds),
    )
    with psycopg.connect(url, autocommit=True, **GIVES_UP) as connection:
        signer.begin(connection)
        # Nothing is due so soon that it would be worth a look at each event.
        while not stop.wait(LOOK_SECONDS):
            if signer.sign_if_due(connection) is not None:
                signed.set()
