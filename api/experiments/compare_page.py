"""The page that compares trials of an experiment: curves, metrics and options that differ."""

from typing import Annotated
from urllib.parse import urlencode

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.backend import NotYet
from api.experiments import messages
from api.experiments.experiments import READ, now
from api.experiments.trial_words import SAMPLERS, labels_of, value_words
from api.http.parameters import AsOf, AtLeast, Served
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.experiments.queries import (
    Curve,
    ExperimentRow,
    TrialRow,
    curves_of,
    find_experiment,
    list_trials,
)
from projections.training.metric_history import VALIDATION_LOSS

SHOWN = (CATALOG, *READ)
"""The read models that the page shows."""
FEWEST, MOST = 2, 8


class ComparedTrials(Page, frozen=True, kw_only=True):
    """Trials of an experiment at a moment, and the curves of `metric` of each.

    `options` are those that differ: the name, and the value of each trial in words.
    """

    moment: Moment
    project: ProjectRow
    view: ViewRow
    experiment: ExperimentRow
    trials: list[TrialRow]
    curves: list[Curve]
    metric: str
    metrics: dict[str, str]
    options: list[tuple[str, list[str]]]
    samplers: dict[str, str]

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def drawn(self) -> list[dict[str, object]]:
        """The curves of the metric, for the chart."""
        return [
            {"number": curve.number, "values": curve.values}
            for curve in self.curves
            if curve.metric == self.metric
        ]

    @property
    def chosen(self) -> str:
        return ",".join(str(trial.number) for trial in self.trials)

    @property
    def kept(self) -> dict[str, str]:
        """What the address of this page says besides the moment."""
        return {"trials": self.chosen, "metric": self.metric}

    def epochs(self, trial: TrialRow) -> int:
        """The epochs that were validated."""
        lengths = (
            len(curve.values)
            for curve in self.curves
            if (curve.number, curve.metric) == (trial.number, VALIDATION_LOSS)
        )
        return next(lengths, 0)

    def is_highest(self, trial: TrialRow) -> bool:
        values = [each.value for each in self.trials if each.value is not None]
        return trial.value is not None and trial.value == max(values)

    def address(self, **others: str) -> str:
        return self.moment.of(f"?{urlencode(self.kept | others)}")


class ComparedTrialsPages(Controller):
    """Comparisons of trials."""

    @get(
        "/experiments/{experiment_id:str}/compare",
        sync_to_thread=True,
        opt=needs(Right.READ, of="experiment_id"),
    )
    def compare(
        self,
        backend: Served,
        experiment_id: FromPath[str],
        trials: Annotated[str, QueryParameter(description="Numbers, separated by commas")] = "",
        metric: Annotated[str, QueryParameter(description="The metric of the curves")] = "",
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            experiment = find_experiment(connection, experiment_id, now(), as_of=at)
            if experiment is None:
                raise NotFound(f"experiment not found{at_position(at)}")
            rows = {row.number: row for row in list_trials(connection, experiment_id, as_of=at)}
            numbers = _numbers(trials, rows)
            curves = curves_of(connection, experiment_id, as_of=at)
            project = find_project(connection, experiment.project_id, as_of=at)
            view = find_view(connection, experiment.view_id, as_of=at)
            moment = moment_of(backend, connection, at, SHOWN)
        if project is None or view is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        metrics = {
            experiment.objective: indicator_of(view.kind),
            VALIDATION_LOSS: messages.VALIDATION_LOSS,
        }
        if metric and metric not in metrics:
            known = ", ".join(metrics)
            raise Invalid(f"metric must be one of {known}, got {metric!r}", field="metric")
        compared = [rows[number] for number in numbers]
        page = ComparedTrials(
            position=position,
            api=moment.of(f"/api/v1/experiments/{experiment_id}/curves"),
            moment=moment,
            project=project,
            view=view,
            experiment=experiment,
            trials=compared,
            curves=[curve for curve in curves if curve.number in numbers],
            metric=metric or experiment.objective,
            metrics=metrics,
            options=_differing(compared, labels_of(view.kind, experiment.trainer)),
            samplers=SAMPLERS,
        )
        return render("experiments/compare.html", page)


def _numbers(trials: str, known: dict[int, TrialRow]) -> list[int]:
    """The numbers in the address. Raises `Invalid`."""
    parts = [part.strip() for part in trials.split(",")]
    numbers = {int(part) for part in parts if part.isdecimal() and len(part) < 10}
    if not all(part.isdecimal() for part in parts) or not numbers <= known.keys():
        raise Invalid(
            "trials must be numbers of this experiment's trials, separated by commas, got"
            f" {trials!r}",
            field="trials",
        )
    if not FEWEST <= len(numbers) <= MOST:
        raise Invalid(
            f"trials must name {FEWEST} to {MOST} trials, got {len(numbers)}", field="trials"
        )
    return sorted(numbers)


def _differing(trials: list[TrialRow], labels: dict[str, str]) -> list[tuple[str, list[str]]]:
    """The parameters that differ, then the learning rates that follow from them."""
    found = []
    for key in dict.fromkeys(key for trial in trials for key in trial.parameters):
        values = [trial.parameters.get(key) for trial in trials]
        if len(set(values)) > 1:
            texts = [value_words(value, labels) for value in values]
            found.append((labels.get(key, key), texts))
    rates = [trial.options.initial_learning_rate for trial in trials]
    if len(set(rates)) > 1:
        found.append((messages.LEARNING_RATE, [f"{rate:.3g}" for rate in rates]))
    return found
