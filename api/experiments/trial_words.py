"""What pages say of experiments: parameters, choices, prunings and endings as text."""

from domain.experiments import experiment as endings
from domain.experiments.experiment import TrialPruned
from domain.experiments.searched import dimensions
from domain.experiments.space import (
    ARCHITECTURE,
    AUGMENTATION,
    BALANCING,
    IMAGE_SIZE,
    OPTIMIZER,
    RATE_MULTIPLIER,
    WEIGHT_DECAY,
    Value,
)
from domain.experiments.trainer_space import TrainerSearch
from domain.formatting import counted, percent
from domain.training.form import training_form
from projections.experiments.queries import ExperimentRow, TrialRow

SAMPLERS = {
    endings.DEFAULT: "the form's defaults",
    endings.RANDOM: "at random",
    endings.TPE: "by TPE",
}
ENDS = {
    endings.BUDGET: "all its trials are done",
    endings.STOPPED: "it was stopped",
    endings.FAILURES: "its first trials all failed",
}
LABELS = {
    ARCHITECTURE: "Architecture",
    RATE_MULTIPLIER: "Rate multiplier",
    OPTIMIZER: "Optimizer",
    WEIGHT_DECAY: "Weight decay",
    BALANCING: "Balancing",
    IMAGE_SIZE: "Image size",
}


def labels_of(kind: str, trainer: TrainerSearch | None = None) -> dict[str, str]:
    """Labels of parameters by their names, and of choices by their values; of a trainer, those of
    its form."""
    if trainer is not None:
        return trainer.labels
    controls = {control.key: control for control in training_form(kind).controls()}
    choices = {
        choice.value: choice.label
        for key in (ARCHITECTURE, OPTIMIZER, "augmentations")
        for choice in controls[key].choices
    }
    operations = controls["augmentations"].choices
    augmentations = {AUGMENTATION + choice.value: choice.label for choice in operations}
    return LABELS | choices | augmentations


def differences(
    experiment: ExperimentRow, trial: TrialRow, labels: dict[str, str]
) -> list[tuple[str, str]]:
    """The options in which trials of the experiment differ, each by its name and as a few words.

    Switches that are off are left out.
    """
    return [
        (key, text)
        for key in dimensions(experiment.space, experiment.trainer)
        if key in trial.parameters
        and (text := _words(key, trial.parameters[key], trial, labels)) is not None
    ]


def _words(key: str, value: Value, trial: TrialRow, labels: dict[str, str]) -> str | None:
    if isinstance(value, bool):
        return labels.get(key, key) if value else None
    if trial.trainer is not None:
        return f"{labels.get(key, key)} {value_words(value, {})}"
    if key == RATE_MULTIPLIER:
        return f"rate {trial.options.initial_learning_rate:.3g} ({value:.3g} of the default)"
    if key == WEIGHT_DECAY:
        return f"weight decay {value:g}"
    if key == IMAGE_SIZE:
        return f"{value} px"
    return labels.get(str(value), str(value))


def value_words(value: Value | None, labels: dict[str, str]) -> str:
    """A parameter's value in words; None is one that a trial does not have."""
    if value is None:
        return "not varied"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.3g}"
    return labels.get(str(value), str(value))


def pruning_words(pruning: TrialPruned) -> str:
    """Why a trial was pruned, with the values that were compared."""
    return (
        f"After epoch {pruning.epoch} its best, {percent(pruning.value, 1)}, was below"
        f" {percent(pruning.cut, 1)}; compared with {counted(pruning.compared, 'trial')}"
    )
