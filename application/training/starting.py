"""The initial weights of a training, found and stored as a blob."""

from pathlib import Path
from typing import Protocol

from application.handle import Session
from domain.aggregates import VERSION
from domain.errors import Invalid
from domain.training.architectures import ARCHITECTURES
from domain.training.messages import InitialWeights
from domain.training.options import TrainingOptions
from domain.training.starting import from_version


class PretrainedWeights(Protocol):
    """The files of pretrained weights that the server has."""

    @property
    def folder(self) -> Path: ...

    def at_hand(self) -> frozenset[str]:
        """The names of the files in the folder."""

    def store(self, file: str) -> str:
        """Store a file as a blob and return its sha256. Raises `FileNotFoundError`."""


def initial_weights(
    session: Session, view_id: str, options: TrainingOptions, weights: PretrainedWeights | None
) -> InitialWeights | None:
    """The initial weights; None for random ones. Raises `Invalid` for missing weights."""
    if options.start_from is not None:
        return from_version(session.get(VERSION, options.start_from), view_id, options)
    if options.pretrained is None:
        return None
    architecture = ARCHITECTURES[options.architecture]
    file = architecture.weights[options.pretrained]
    if weights is None:
        raise Invalid("no pretrained weights are available here", field="pretrained")
    try:
        return InitialWeights(weights.store(file), options.pretrained)
    except FileNotFoundError as missing:
        raise Invalid(
            f"the weights of {architecture.label} are not available: the file {file} is missing in"
            f" {weights.folder}; run `stemma weights fetch {architecture.key}` on the server",
            field="pretrained",
        ) from missing
