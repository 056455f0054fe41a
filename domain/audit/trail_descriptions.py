"""The description of an event on the trail, and the names of the product's things in it."""

from collections.abc import Mapping

import msgspec

from domain.access.account import Account
from domain.access.key import Key
from domain.dataset.image import Image
from domain.dataset.imports import Import
from domain.dataset.project import Project
from domain.event import StreamName
from domain.experiments.experiment import Experiment
from domain.library.model import Model
from domain.library.view import View
from domain.subscriptions.webhook import Webhook
from domain.trainers.trainer import Trainer
from domain.training.version import Version

States = Mapping[str, object]
"""The states of streams by their names."""


class Description(msgspec.Struct, frozen=True):
    """What happened, and the values before and after, if one was replaced."""

    what: str
    before: str | None = None
    after: str | None = None


def named(stream: str, state: object) -> str:
    """The name of a thing for people; its kind and id if its state is not known."""
    match state:
        case Project() | View() | Model() | Trainer():
            return f"{StreamName.parse(stream).kind} '{state.name}'"
        case Image():
            return f"image {state.added.file_name}"
        case Account():
            return f"account '{state.name}'"
        case Key():
            return f"key '{state.label}'"
        case Experiment():
            return f"experiment '{state.started.name}'"
        case Import():
            return f"import of {state.requested.source}"
        case Webhook():
            return f"webhook to {state.registered.host}"
        case Version():
            number, name = state.created.number, state.name
            return (
                f"version {number}" if name == f"Version {number}" else f"version {number} '{name}'"
            )
    return " ".join(StreamName.parse(stream))


def named_in(states: States, stream: str) -> str:
    return named(stream, states.get(stream))


def labels_of(state: object) -> Mapping[str, str]:
    """A view's labels by concept id, including those of removed concepts."""
    return state.removed | state.concepts if isinstance(state, View) else {}
