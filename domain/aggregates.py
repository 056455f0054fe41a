"""All aggregates: each a kind of stream, and how its state follows from its events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from domain.access import account, key
from domain.dataset import blob, image, imports, project
from domain.event import Event, StreamName
from domain.experiments import experiment
from domain.library import model, view
from domain.subscriptions import webhook
from domain.trainers import trainer
from domain.training import version

State = TypeVar("State")


class Aggregate(msgspec.Struct, Generic[State], frozen=True):
    """A kind of stream, how its state follows from its events, and what may be decided on it."""

    kind: str
    evolve: Callable[[State | None, Event], State | None]
    decide: Callable[[Any, State | None], Sequence[Event]]

    def stream(self, entity_id: str) -> str:
        return str(StreamName(self.kind, entity_id))

    def fold(self, events: Iterable[Event]) -> State | None:
        """The state after all events of a stream; None if there are none."""
        state = None
        for event in events:
            state = self.evolve(state, event)
        return state


PROJECT: Aggregate[project.Project] = Aggregate("project", project.evolve, project.decide)
IMAGE: Aggregate[image.Image] = Aggregate("image", image.evolve, image.decide)
BLOB: Aggregate[blob.Blob] = Aggregate("blob", blob.evolve, blob.decide)
IMPORT: Aggregate[imports.Import] = Aggregate("import", imports.evolve, imports.decide)
VIEW: Aggregate[view.View] = Aggregate("view", view.evolve, view.decide)
MODEL: Aggregate[model.Model] = Aggregate("model", model.evolve, model.decide)
VERSION: Aggregate[version.Version] = Aggregate("version", version.evolve, version.decide)
EXPERIMENT: Aggregate[experiment.Experiment] = Aggregate(
    "experiment", experiment.evolve, experiment.decide
)
WEBHOOK: Aggregate[webhook.Webhook] = Aggregate("webhook", webhook.evolve, webhook.decide)
TRAINER: Aggregate[trainer.Trainer] = Aggregate("trainer", trainer.evolve, trainer.decide)
ACCOUNT: Aggregate[account.Account] = Aggregate("account", account.evolve, account.decide)
KEY: Aggregate[key.Key] = Aggregate("key", key.evolve, key.decide)

AGGREGATES: Mapping[str, Aggregate[Any]] = {
    aggregate.kind: aggregate
    for aggregate in (
        PROJECT,
        IMAGE,
        BLOB,
        IMPORT,
        VIEW,
        MODEL,
        VERSION,
        EXPERIMENT,
        WEBHOOK,
        TRAINER,
        ACCOUNT,
        KEY,
    )
}
"""Aggregates by kind, the prefix of their stream names."""
