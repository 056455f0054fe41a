"""Lets the workers of trainers into NATS whose seeds the API has issued, and cuts off others."""

import logging
from pathlib import Path

from adapters.nats.access import NatsAccess
from adapters.nats.roles import NatsRole, User
from adapters.servers.nats import access_in
from adapters.settings import SettingsError
from application.log.store import Store
from application.training.seeds import list_seeds

log = logging.getLogger(__name__)


def access_of(data: Path) -> NatsAccess | None:
    """The credentials of the nats-server that `stemma up` runs on a data folder, if it does."""
    access = access_in(data)
    return access if access.users() else None


def sync_seeds(store: Store, access: NatsAccess) -> bool:
    """Bring the credentials in line with the log; whether that changed them. May be repeated."""
    return access.sync(
        lambda: [
            User(NatsRole.WORKER, seed.worker, seed.key, seed.queue, issued=True)
            for seed in list_seeds(store)
            if not seed.revoked
        ]
    )


def apply_seeds(store: Store, data: Path) -> bool:
    """Let the nats-server of `stemma up` take the seeds as they are in the log: it disconnects
    whose seed was revoked. False if this machine runs none. Raises `SettingsError`."""
    access = access_of(data)
    if access is None:
        return False
    sync_seeds(store, access)
    # Also if nothing changed: who changed it may have died before nats-server knew.
    return access.reload(data / "nats", data / "logs" / "nats.log")


def apply_at_start(store: Store, data: Path) -> None:
    """The same, for a process that starts, if any seed was ever issued. What fails is logged: the
    next change tries again."""
    try:
        if list_seeds(store):
            apply_seeds(store, data)
    except SettingsError as error:
        log.warning("the seeds of trainers' workers are not applied: %s", error)
