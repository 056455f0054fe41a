"""All aggregates: each a kind of stream, and how its state follows from its events."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from domain.access import account, key
from domain.dataset import blob, image, imports, project
from domain.event import Event, StreamName
from domain.library import model, view
from domain.subscriptions import webhook
from domain.training import version

State = TypeVar("State")


class Aggregate(msgspec.Struct, Generic[State], frozen=True):
    """A kind of stream and how its state follows from its events."""

    kind: str
    evolve: Callable[[State | None, Event], State | None]

    def stream(self, entity_id: str) -> str:
        return str(StreamName(self.kind, entity_id))

    def fold(self, events: Iterable[Event]) -> State | None:
        """The state after all events of a stream; None if there are none."""
        state = None
        for event in events:
            state = self.evolve(state, event)
        return state


PROJECT: Aggregate[project.Project] = Aggregate("project", project.evolve)
IMAGE: Aggregate[image.Image] = Aggregate("image", image.evolve)
BLOB: Aggregate[blob.Blob] = Aggregate("blob", blob.evolve)
IMPORT: Aggregate[imports.Import] = Aggregate("import", imports.evolve)
VIEW: Aggregate[view.View] = Aggregate("view", view.evolve)
MODEL: Aggregate[model.Model] = Aggregate("model", model.evolve)
VERSION: Aggregate[version.Version] = Aggregate("version", version.evolve)
WEBHOOK: Aggregate[webhook.Webhook] = Aggregate("webhook", webhook.evolve)
ACCOUNT: Aggregate[account.Account] = Aggregate("account", account.evolve)
KEY: Aggregate[key.Key] = Aggregate("key", key.evolve)

AGGREGATES: Mapping[str, Aggregate[Any]] = {
    one.kind: one
    for one in (PROJECT, IMAGE, BLOB, IMPORT, VIEW, MODEL, VERSION, WEBHOOK, ACCOUNT, KEY)
}
"""By the kind with which the names of its streams begin."""
