"""The backend's parts, each startable alone or several in one process."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from adapters.audit.part import run_checkpoints
from adapters.blobs.blobs import BlobStore
from adapters.dataset.eraser import run_eraser
from adapters.dataset.imports.feed import run_imports
from adapters.health.heartbeats import Heartbeats, described
from adapters.health.own_parts import OwnParts
from adapters.health.own_port import own_port
from adapters.nats.login import nats_login
from adapters.observability import logs
from adapters.observability.event_spans import TracedStore, passed_on
from adapters.postgres.postgres import engine_for, wake_ups
from adapters.settings import Settings
from adapters.subscriptions.relay import run_relay
from adapters.subscriptions.webhooks.part import run_courier
from adapters.training.policy_feed import run_policies
from adapters.training.report_feed import run_ingest
from application.log.store import CHANNEL, Store
from domain.event import Recorded
from projections.engine.follow import Follower
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

log = logging.getLogger(__name__)

Part = Callable[[Settings, Store, threading.Event], None]


def run_project(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Keep all read models up with the log. One that fails is tried again, by itself."""
    url = settings.require("database_url")
    follower = Follower(engine_for(url), store, READ_MODELS, _projected, described)
    for _ in wake_ups(url, CHANNEL, stop):
        follower.keep_up()


def _projected(read_model: ReadModel, page: Sequence[Recorded], began: int) -> None:
    names = read_model.names
    shown = [recorded for recorded in page if recorded.event.event_name.startswith(names)]
    passed_on(f"project {read_model.name}", shown, began)


def _relay(settings: Settings, store: Store, stop: threading.Event) -> None:
    run_relay(store, nats_login(settings), stop)


def _policies(settings: Settings, store: Store, stop: threading.Event) -> None:
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    run_policies(settings, store, blobs, stop)


def _ingest(settings: Settings, store: Store, stop: threading.Event) -> None:
    run_ingest(store, nats_login(settings), stop)


PARTS: dict[str, Part] = {
    "checkpoints": run_checkpoints,
    "courier": run_courier,
    "eraser": run_eraser,
    "importer": run_imports,
    "project": run_project,
    "relay": _relay,
    "policies": _policies,
    "ingest": _ingest,
}


def run_parts(names: Sequence[str], settings: Settings, stop: threading.Event) -> None:
    """Run parts side by side until `stop` is set. One that fails begins again by itself."""
    store = TracedStore(settings.require("database_url"), pool_size=2 + len(names))
    beats = Heartbeats(store.database_url, names)
    own = OwnParts(settings, beats, names)
    with own_port(settings, own.registry(), own.checks), beats:
        threads = [
            threading.Thread(
                target=_keep_running, args=(name, settings, store, beats, stop), name=name
            )
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    store.close()


def _keep_running(
    name: str, settings: Settings, store: Store, beats: Heartbeats, stop: threading.Event
) -> None:
    with logs.about(part=name):
        try:
            _begin_again(name, settings, store, beats, stop)
        finally:
            beats.ended(name)


def _begin_again(
    name: str, settings: Settings, store: Store, beats: Heartbeats, stop: threading.Event
) -> None:
    """Whatever stops a part, a server that restarts or a defect, it goes on from its position."""
    pause = FIRST_PAUSE
    while not stop.is_set():
        began = time.monotonic()
        try:
            PARTS[name](settings, store, stop)
            return
        except Exception as error:
            beats.failed(name, error)
            log.exception("part %s failed; it begins again in %.1f s", name, pause)
        stop.wait(pause)
        lasted = time.monotonic() - began > 2 * LONGEST_PAUSE
        pause = FIRST_PAUSE if lasted else min(pause * 2, LONGEST_PAUSE)
