"""Runs services of the backend, and keeps them running."""

import logging
import threading
import time
from collections.abc import Sequence
from pkgutil import resolve_name

from adapters.health.heartbeats import Heartbeats, described
from adapters.health.own_parts import OwnParts
from adapters.health.own_port import own_port
from adapters.observability import logs
from adapters.observability.event_spans import TracedStore, passed_on
from adapters.postgres.log_growth import log_growth
from adapters.postgres.postgres import engine_for
from adapters.services import SERVICES
from adapters.settings import Settings
from application.log.store import Store
from domain.event import Recorded
from projections.engine.follow import Follower
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

log = logging.getLogger(__name__)


def run_project(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Keep all read models up with the log. One that fails is tried again, by itself."""
    url = settings.require("database_url")
    follower = Follower(engine_for(url), store, READ_MODELS, _projected, described)
    for _ in log_growth(url, stop, poll=1.0, first=True):
        follower.keep_up()


def _projected(read_model: ReadModel, page: Sequence[Recorded], began: int) -> None:
    names = read_model.names
    shown = [recorded for recorded in page if recorded.event.event_name.startswith(names)]
    passed_on(f"project {read_model.name}", shown, began)


def load_parts(names: Sequence[str]) -> None:
    """Import what the parts need."""
    for name in names:
        resolve_name(SERVICES[name].run)


def run_parts(names: Sequence[str], settings: Settings, stop: threading.Event) -> None:
    """Run parts side by side until `stop` is set. One that fails is restarted."""
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
            resolve_name(SERVICES[name].run)(settings, store, stop)
            return
        except Exception as error:
            beats.failed(name, error)
            log.exception("part %s failed; it is restarted in %.1f s", name, pause)
        stop.wait(pause)
        lasted = time.monotonic() - began > 2 * LONGEST_PAUSE
        pause = FIRST_PAUSE if lasted else min(pause * 2, LONGEST_PAUSE)
