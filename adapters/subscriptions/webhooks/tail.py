"""The log as many webhooks read it: those that are up to date share the newest events in memory."""

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice

import msgspec

from application.log.store import Store
from application.scopes import Scopes
from domain.event import Recorded
from domain.personal import without_personal

KEPT = 5_000
AT_ONCE = 100
READERS = 2
"""Webhooks that are behind and read the log at the same time; each takes a connection."""


class Wanted(msgspec.Struct, frozen=True):
    """The events that a webhook asks for: by name if names are given, and so by project."""

    names: frozenset[str]
    project_id: str | None


class Page(msgspec.Struct, frozen=True):
    """Events in order, and the position up to which there are no others that are wanted."""

    events: list[Recorded]
    upto: int


class Tail:
    """Reads the log once for all that are up to date; for one that is behind, it reads apart."""

    def __init__(self, store: Store, head: int) -> None:
        self._store = store
        self._scopes = Scopes(store)
        self._newest: deque[Recorded] = deque()
        self._readers = asyncio.Semaphore(READERS)
        self.head = head

    async def grow(self) -> list[Recorded]:
        """Read a page on; empty at the end of the log."""
        page = await asyncio.to_thread(self._store.read, self.head)
        if page:
            self._newest.extend(_public(one) for one in page)
            self.head = page[-1].position
            while len(self._newest) > KEPT:
                self._newest.popleft()
        return page

    async def after(self, position: int, wanted: Wanted) -> Page:
        """The next events above a position, some hundred at most."""
        kept = len(self._newest)
        if position >= self.head - kept:
            # Positions have no holes, so the place in memory follows from the position.
            newer = islice(self._newest, max(position - (self.head - kept), 0), kept)
            found, upto = _some(newer, wanted.names, self.head)
        else:
            head = self.head
            async with self._readers:
                found = await asyncio.to_thread(
                    self._store.read, position, limit=AT_ONCE, upto=head, names=sorted(wanted.names)
                )
            upto = found[-1].position if len(found) == AT_ONCE else head
        if wanted.project_id is not None and found:
            streams = {one.stream for one in found}
            projects = await asyncio.to_thread(self._scopes.projects_of, streams)
            found = [one for one in found if projects[one.stream] == wanted.project_id]
        return Page(found, max(upto, position))


def _public(recorded: Recorded) -> Recorded:
    """What is kept for a while holds nothing that might be erased meanwhile."""
    public = without_personal(recorded.event)
    return (
        msgspec.structs.replace(recorded, event=public)
        if public is not recorded.event
        else recorded
    )


def _some(
    newer: Iterable[Recorded], names: frozenset[str], head: int
) -> tuple[list[Recorded], int]:
    found: list[Recorded] = []
    for recorded in newer:
        if not names or recorded.event.event_name in names:
            found.append(recorded)
            if len(found) == AT_ONCE:
                return found, recorded.position
    return found, head
