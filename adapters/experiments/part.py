"""The service that carries experiments on."""

import threading

from adapters.blobs.blobs import BlobStore
from adapters.experiments.sampler import OptunaSampler
from adapters.postgres.log_growth import log_growth
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from adapters.training.weights import WeightsFolder
from application.experiments.policy import REACTS_TO, Reactions, react
from application.log.store import Store

FEED = "experiments"


def run_experiments(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Carry experiments on as the log grows, until `stop` is set."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    weights = WeightsFolder(settings.weights_folder, blobs)
    reactions = Reactions(store, OptunaSampler(), weights)
    for _ in log_growth(store.database_url, stop, REACTS_TO):
        react_to_all(store, FEED, REACTS_TO, lambda recorded: react(reactions, recorded))
