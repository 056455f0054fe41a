"""Retention of the items recorded of versions: those of the newest versions of a view are kept."""

from collections import defaultdict
from contextlib import suppress
from functools import partial

from application.handle import Decided, Request, Session, handle
from application.log.store import Store
from domain.aggregates import VERSION
from domain.errors import Conflict
from domain.event import Event, name_of
from domain.training.version import (
    DiscardEpochItems,
    EpochItemsDiscarded,
    EpochItemsRecorded,
    Version,
    VersionCreated,
)

ACTOR = "collector"


def versions_to_discard(store: Store, kept: int) -> list[str]:
    """The ids of the versions whose items are kept so far, and are not among the newest `kept` of
    their view that have some; 0 keeps all."""
    if kept == 0:
        return []
    recorded = _versions_with(EpochItemsRecorded, store)
    discarded = _versions_with(EpochItemsDiscarded, store)
    by_view: dict[str, list[str]] = defaultdict(list)
    for created in store.read_all(names=[name_of(VersionCreated)]):
        if isinstance(created.event, VersionCreated) and created.entity_id in recorded:
            by_view[created.event.view_id].append(created.entity_id)
    older = [version_id for versions in by_view.values() for version_id in versions[:-kept]]
    return [version_id for version_id in older if version_id not in discarded]


def discard_items(store: Store, kept: int) -> int:
    """Record of each of these versions that its items are given up, but not of one that still
    trains; the number recorded. It may be repeated."""

    def discard(version_id: str, session: Session) -> Decided[Version]:
        return session.decide(VERSION, version_id, DiscardEpochItems(kept))

    count = 0
    for version_id in versions_to_discard(store, kept):
        request = Request(
            actor=ACTOR,
            command_id=f"items:{version_id}:discard",
            correlation_id=f"items:{version_id}",
        )
        with suppress(Conflict):
            handle(store, request, partial(discard, version_id))
            count += 1
    return count


def _versions_with(event: type[Event], store: Store) -> set[str]:
    return {recorded.entity_id for recorded in store.read_all(names=[name_of(event)])}
