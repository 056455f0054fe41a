"""Proposals by Optuna's samplers, each from a fresh study in memory.

Optuna's own storages are not used: they would be a second truth beside the log.
"""

import importlib.metadata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from domain.experiments.experiment import RANDOM, Experiment
from domain.experiments.searched import dimensions
from domain.experiments.space import Choices, Dimension, Interval, LogRange, Parameters
from domain.experiments.trials import COMPLETED, PRUNED, RUNNING, Trial

LEAST_FOR_IMPORTANCES = 4

_STATES = {
    COMPLETED: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    RUNNING: TrialState.RUNNING,
}

optuna.logging.set_verbosity(optuna.logging.ERROR)


class OptunaSampler:
    """Implements `application.experiments.policy.Sampler`."""

    def __init__(self) -> None:
        optuna_version = importlib.metadata.version("optuna")
        self.libraries: Mapping[str, str] = {"numpy": np.__version__, "optuna": optuna_version}

    def propose(
        self, experiment: Experiment, trials: Sequence[Trial], number: int, sampler: str
    ) -> Parameters:
        """The parameters of trial `number`: a function of the arguments alone."""
        distributions = _distributions(experiment)
        study = optuna.create_study(
            direction="maximize",
            sampler=_sampler(sampler, _seed(experiment.started.seed, number)),
        )
        study.add_trials([_trial(each, distributions) for each in trials])
        return _in_order(study.ask(distributions).params, distributions)

    def importances(self, experiment: Experiment, trials: Sequence[Trial]) -> dict[str, float]:
        """By parameter, the largest first; none where too few trials completed."""
        distributions = _distributions(experiment)
        completed = [
            each
            for each in trials
            if each.status == COMPLETED and distributions.keys() <= each.proposed.parameters.keys()
        ]
        if len(completed) < LEAST_FOR_IMPORTANCES or not distributions:
            return {}
        # It loads scikit-learn, SciPy and pandas, which the services do without otherwise.
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        study = optuna.create_study(direction="maximize")
        study.add_trials([_trial(each, distributions) for each in completed])
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def _seed(seed: int, number: int) -> int:
    """A seed for each trial, independent of the others'."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _sampler(name: str, seed: int) -> BaseSampler:
    if name == RANDOM:
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=seed, multivariate=True, constant_liar=True, group=True, n_startup_trials=1
        )


def _distributions(experiment: Experiment) -> dict[str, BaseDistribution]:
    started = experiment.started
    return {
        key: _distribution(dimension)
        for key, dimension in dimensions(started.space, started.trainer).items()
    }


def _distribution(dimension: Dimension) -> BaseDistribution:
    match dimension:
        case LogRange(low, high):
            return FloatDistribution(low, high, log=True)
        case Interval(low, high, log, whole):
            if whole:
                return IntDistribution(int(low), int(high), log=log)
            return FloatDistribution(low, high, log=log)
        case Choices(values):
            return CategoricalDistribution(values)


def _trial(trial: Trial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """A failed trial says nothing; a pruned one is worse than what was not pruned."""
    own = {key: trial.proposed.parameters[key] for key in distributions}
    state = _STATES.get(trial.status, TrialState.FAIL)
    return create_trial(
        state=state,
        value=trial.value if state == TrialState.COMPLETE else None,
        params=own,
        distributions=distributions,
        intermediate_values={number: at.value for number, at in sorted(trial.epochs.items())},
    )


def _in_order(params: dict[str, Any], distributions: dict[str, BaseDistribution]) -> Parameters:
    return {key: params[key] for key in distributions}
