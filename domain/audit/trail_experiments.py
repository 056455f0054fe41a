"""Descriptions of an experiment's events on the trail, with the values that were compared."""

from domain.audit.trail_descriptions import Description, States, named_in
from domain.event import Event
from domain.experiments import experiment
from domain.experiments.space import Parameters
from domain.formatting import counted

_SAMPLERS = {
    experiment.DEFAULT: "the form's defaults",
    experiment.RANDOM: "at random",
    experiment.TPE: "by TPE",
}
_ENDS = {
    experiment.BUDGET: "all its trials have ended",
    experiment.STOPPED: "it was stopped",
    experiment.FAILURES: "its first trials all failed",
}


def of_experiment(event: Event, subject: str, states: States) -> Description | None:
    match event:
        case experiment.ExperimentStarted() as started:
            model = named_in(states, f"model-{started.model_id}")
            by = f" of trainer {started.trainer.trainer.name}" if started.trainer else ""
            return Description(
                f"experiment '{started.name}' on {model} started:"
                f" {counted(started.budget, 'trial')}{by},"
                f" {started.concurrency} at once, {started.epochs:g} epochs each, on the images as"
                f" of position {started.log_position}, seed {started.seed}"
            )
        case experiment.TrialProposed() as proposed:
            return Description(
                f"{subject}: trial {proposed.number} proposed"
                f" {_SAMPLERS.get(proposed.sampler, proposed.sampler)}:"
                f" {parameters_in_words(proposed.parameters)}, from the log up to position"
                f" {proposed.log_position}"
            )
        case experiment.TrialPruned() as pruned:
            return Description(
                f"{subject}: trial {pruned.number} pruned after epoch {pruned.epoch}: its best"
                f" {pruned.value:.4g} is below {pruned.cut:.4g}, compared with"
                f" {counted(pruned.compared, 'trial')} at position {pruned.log_position}"
            )
        case experiment.ExperimentStopRequested():
            return Description(f"{subject} requested to stop")
        case experiment.ExperimentConcluded() as end:
            best = (
                "no trial completed"
                if end.best_trial is None
                else f"the best is trial {end.best_trial} with {end.value:.4g}"
            )
            why = f" ({end.reason})" if end.reason else ""
            return Description(
                f"{subject} concluded, since {_ENDS.get(end.ended_by, end.ended_by)}{why}: {best};"
                f" {end.completed} completed, {end.pruned} pruned, {end.failed} failed"
            )
    return None


def parameters_in_words(parameters: Parameters) -> str:
    """The parameters of a trial in one line, in their order."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in parameters.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
