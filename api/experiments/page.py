"""The page of an experiment: its trials, curves, best and conclusion."""

import math
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from api.access.rights import needs
from api.backend import NotYet
from api.dataset.file_names import with_file_names
from api.experiments.experiments import READ, now
from api.experiments.trial_words import (
    ENDS,
    SAMPLERS,
    differences,
    labels_of,
    pruning_words,
    value_words,
)
from api.http.parameters import AsOf, AtLeast, Served
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.experiments.experiment import DEFAULT, TrialPruned
from domain.experiments.searched import fixed
from domain.experiments.space import Value
from domain.training.version import READY, STOPPED
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.experiments.experiments import CONCLUDED
from projections.experiments.queries import (
    NUMBER,
    PRUNED,
    ExperimentRow,
    TrialRow,
    curves_of,
    find_experiment,
    list_trials,
    require_known,
)
from projections.training.library_queries import ModelRow, find_model
from projections.training.metric_history import VALIDATION_LOSS

SHOWN = (CATALOG, *READ)
"""The read models that the page shows."""
COMPLETED = (READY, STOPPED)


class ExperimentPage(Page, frozen=True, kw_only=True):
    """An experiment at a moment, with all its trials in the order of `sort`.

    `status` restricts the trials that are listed. `epochs` are those validated, by trial. `labels`
    are of parameters and their values.
    """

    moment: Moment
    project: ProjectRow
    view: ViewRow
    model: ModelRow
    experiment: ExperimentRow
    trials: list[TrialRow]
    epochs: dict[int, int]
    status: str
    sort: str
    labels: dict[str, str]
    samplers: dict[str, str]

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def ended(self) -> bool:
        return self.experiment.state == CONCLUDED

    @property
    def why(self) -> str:
        end = self.experiment.conclusion
        return "" if end is None else ENDS.get(end.ended_by, end.ended_by)

    @property
    def shown(self) -> list[TrialRow]:
        return [trial for trial in self.trials if self.status in ("", trial.status)]

    @property
    def best_default(self) -> TrialRow | None:
        """The best completed trial of those with the form's defaults."""
        defaults = [
            trial
            for trial in self.trials
            if trial.sampler == DEFAULT and trial.status in COMPLETED and trial.value is not None
        ]
        return max(defaults, key=_quality, default=None)

    @property
    def epochs_saved(self) -> float:
        """The epochs that pruned trials did not train."""
        pruned = [trial for trial in self.trials if trial.status == PRUNED]
        return sum(self.experiment.epochs - self.epochs.get(trial.number, 0) for trial in pruned)

    @property
    def shared(self) -> dict[str, Value]:
        """The options that all trials have, where they are not the form's defaults; all settings
        of a trainer that are not varied."""
        experiment, trainer = self.experiment, self.experiment.trainer
        options = experiment.options
        if trainer is not None:
            settings = trainer.trainer.settings
            options = {key: value for key, value in settings.items() if key not in trainer.varied}
        return options | fixed(experiment.space, trainer)

    def differences(self, trial: TrialRow) -> list[tuple[str, str]]:
        return differences(self.experiment, trial, self.labels)

    def words(self, value: Value) -> str:
        """A value of a trainer's setting; flags are on or off."""
        return value_words(value, {})

    def pruning(self, pruned: TrialPruned) -> str:
        return pruning_words(pruned)

    def address(self, **others: str) -> str:
        """This page in another order or with other trials, at the same moment."""
        return self.moment.of(f"?{urlencode(self._query(others))}")

    def _query(self, others: dict[str, str]) -> dict[str, str]:
        query = {"status": self.status, "sort": self.sort} | others
        return {key: value for key, value in query.items() if value not in ("", NUMBER)}


class ExperimentPages(Controller):
    """Experiments."""

    @get(
        "/experiments/{experiment_id:str}",
        sync_to_thread=True,
        opt=needs(Right.READ, of="experiment_id"),
    )
    def experiment(
        self,
        backend: Served,
        experiment_id: FromPath[str],
        status: FromQuery[str] = "",
        sort: FromQuery[str] = NUMBER,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        require_known(status or None, sort)
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            experiment = find_experiment(connection, experiment_id, now(), as_of=at)
            if experiment is None:
                raise NotFound(f"experiment not found{at_position(at)}")
            trials = list_trials(connection, experiment_id, sort=sort, as_of=at)
            curves = curves_of(connection, experiment_id, as_of=at)
            project = find_project(connection, experiment.project_id, as_of=at)
            view = find_view(connection, experiment.view_id, as_of=at)
            model = find_model(connection, experiment.model_id, as_of=at)
            moment = moment_of(backend, connection, at, SHOWN)
        if project is None or view is None or model is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        if moment.past:
            experiment = msgspec.structs.replace(experiment, seconds_left=None)
        page = ExperimentPage(
            position=position,
            api=moment.of(f"/api/v1/experiments/{experiment_id}"),
            moment=moment,
            project=project,
            view=view,
            model=model,
            experiment=experiment,
            trials=with_file_names(backend, trials),
            epochs={c.number: len(c.values) for c in curves if c.metric == VALIDATION_LOSS},
            status=status,
            sort=sort,
            labels=labels_of(view.kind, experiment.trainer)
            | {experiment.objective: indicator_of(view.kind)},
            samplers=SAMPLERS,
        )
        return render("experiments/experiment.html", page)


def _quality(trial: TrialRow) -> tuple[float, float]:
    loss = math.inf if trial.validation_loss is None else trial.validation_loss
    return trial.value or 0.0, -loss
