"""Pruning by asynchronous successive halving (ASHA, Li et al. 2020, arXiv 1810.05934).

A trial is judged once at each rung, against the trials that had reached the rung by then. What is
judged is the log up to the trial's own metrics, so that the verdict is the same whenever and by
whomever it is derived.
"""

import math
from collections.abc import Sequence

from domain.experiments.experiment import DEFAULT, TrialPruned
from domain.experiments.trials import Trial

REDUCTION = 3
"""One in three goes on at a rung."""
RUNGS = (9, 3)
"""A rung is after the epochs divided by each of these."""
LEAST_COMPARED = 3


def rungs(epochs: float) -> list[int]:
    """The epochs after which trials of this length are judged."""
    return sorted({rung for part in RUNGS if (rung := math.ceil(epochs / part)) < epochs})


def derive_prunings(trials: Sequence[Trial], epochs: float) -> list[TrialPruned]:
    """All prunings that follow from the trials' metrics, in the order of the log.

    `trials` have all their epochs, also those after a pruning. The form's defaults are never
    pruned, so that the best is never worse than a training of one click.
    """
    at_rungs = [
        (trial.epochs[rung].position, rung, trial)
        for rung in rungs(epochs)
        for trial in trials
        if rung in trial.epochs
    ]
    reached: dict[int, list[float]] = {rung: [] for rung in rungs(epochs)}
    pruned: dict[int, TrialPruned] = {}
    for position, rung, trial in sorted(at_rungs, key=lambda at: at[0]):
        if trial.number in pruned:
            continue
        value = trial.best_until(rung)
        compared = len(reached[rung])
        reached[rung].append(value)
        if compared < LEAST_COMPARED or trial.proposed.sampler == DEFAULT:
            continue
        ranked = sorted(reached[rung], reverse=True)
        cut = ranked[max(1, len(ranked) // REDUCTION) - 1]
        if value < cut:
            version = trial.proposed.version_id
            pruned[trial.number] = TrialPruned(
                trial.number, version, rung, value, compared, cut, position
            )
    return list(pruned.values())
