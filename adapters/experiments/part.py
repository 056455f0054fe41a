"""The service that carries experiments on."""

import threading

from adapters.blobs.blobs import BlobStore
from adapters.experiments.sampler import OptunaSampler
from adapters.postgres.postgres import wake_ups
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from adapters.training.weights import WeightsFolder
from application.experiments.policy import REACTS_TO, Reactions, react
from application.log.store import CHANNEL, Store

FEED = "experiments"


def run_experiments(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Carry experiments on as the log grows, until `stop` is set."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    weights = WeightsFolder(settings.weights_folder, blobs)
    reactions = Reactions(store, OptunaSampler(), weights)
    for _ in wake_ups(store.database_url, CHANNEL, stop):
        react_to_all(store, FEED, REACTS_TO, lambda recorded: react(reactions, recorded))
