"""What an experiment searches: options of the built-in training, or settings of a trainer."""

from domain.experiments import space, trainer_space
from domain.experiments.experiment import ExperimentStarted
from domain.experiments.space import Dimension, Parameters, SearchSpace
from domain.experiments.trainer_space import TrainerSearch


def dimensions(searched: SearchSpace, trainer: TrainerSearch | None) -> dict[str, Dimension]:
    """What is searched, by the names of parameters, in a fixed order."""
    return space.dimensions(searched) if trainer is None else trainer_space.dimensions_of(trainer)


def fixed(searched: SearchSpace, trainer: TrainerSearch | None) -> Parameters:
    """The parameters that have one value only."""
    return space.fixed(searched) if trainer is None else trainer_space.fixed_of(trainer)


def default_trials(started: ExperimentStarted) -> list[Parameters]:
    """The trials with the form's defaults, which come first."""
    if started.trainer is not None:
        return [trainer_space.default_trial(started.trainer)]
    return space.default_trials(
        started.kind, started.space, started.base, frozenset(started.weights)
    )
