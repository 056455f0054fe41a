"""The newest events that fit, looked for backwards: what a page of the feed shows."""

import time

import msgspec

from adapters.subscriptions.feed.wanted import Chosen, terms_of
from application.log.store import Store
from application.scopes import Scopes
from domain.event import Recorded
from domain.subscriptions.event_filter import matching

WINDOW = 250
"""Events that are read first; then four times as many each time, up to `WIDEST`."""

WIDEST = 16_000
SEARCH_SECONDS = 1.0
"""After so long the search says how far back it has looked."""


class Looked(msgspec.Struct, frozen=True):
    """Events, the newest first, and the position above which there are no others that fit."""

    events: list[Recorded]
    down_to: int


def newest(
    store: Store,
    scopes: Scopes,
    chosen: Chosen,
    projects: frozenset[str] | None,
    before: int,
    limit: int,
) -> Looked:
    """At most `limit` below the position `before`. `projects` are those that may be read; None
    stands for all. Raises `Invalid` for a filter that fits nothing there is."""
    wanted = chosen.wanted(scopes, projects).within(projects)
    names = sorted(matching(chosen.name))
    fits: list[Recorded] = []
    size, upto, begun = WINDOW, before - 1, time.monotonic()
    while upto > 0 and len(fits) < limit:
        if time.monotonic() - begun >= SEARCH_SECONDS:
            break
        after = max(upto - size, 0)
        page = store.read(after, limit=size, upto=upto, names=names)
        places = scopes.scopes_of({event.stream for event in page})
        fit = [event for event in page if wanted.covers(terms_of(event, places[event.stream]))]
        fits += reversed(fit)
        size, upto = min(4 * size, WIDEST), after
    if len(fits) > limit:
        return Looked(fits[:limit], fits[limit - 1].position - 1)
    return Looked(fits, upto)
