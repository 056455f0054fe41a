"""Experiments: searches for the options with which a model learns best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemma_client import notebook
from stemma_client._generated import answers, operations
from stemma_client.entities import Entity
from stemma_client.tables import Rows
from stemma_client.waiting import wait_for

if TYPE_CHECKING:
    from stemma_client.client import Stemma
    from stemma_client.versions import Version


class Experiment(Entity):
    """A search, whose trials are versions."""

    kind = "experiment"

    def __init__(self, client: Stemma, row: answers.ExperimentRow) -> None:
        super().__init__(client, row.experiment_id, row.name)
        self.row = row

    @property
    def status(self) -> str:
        """Its state on the server."""
        return self.row.state

    @property
    def ended(self) -> bool:
        """Whether it is concluded."""
        return self.row.conclusion is not None

    @property
    def progress(self) -> float:
        """The share of its trainings that is done."""
        return self.row.progress

    @property
    def best(self) -> Version | None:
        """The version of its best trial so far."""
        trial = self.row.best
        return None if trial is None else self.client.version(trial.version_id)

    def look(self, seconds: float = 0, *, patience: float | None = None) -> None:
        """Read it again, as soon as it has ended or after some seconds."""
        request = operations.get_experiment(self.id, wait=seconds)
        self.row = self.client.send(request, patience=patience).experiment
        self.name = self.row.name

    def wait(self, timeout: float | None = None, *, bar: bool | None = None) -> Experiment:
        """Wait for its conclusion; `row.conclusion` says why it ended. Raises `WaitTimeout`."""
        wait_for([self], timeout=timeout, bar=bar)
        return self

    def trials(self) -> Rows[answers.TrialRow]:
        """All its trials, by number."""
        return Rows(self.client.send(operations.list_trials(self.id)).items)

    def curves(self) -> Rows[answers.ProjectionsExperimentsQueriesCurve]:
        """The objective of each trial after each epoch."""
        return Rows(self.client.send(operations.get_experiment_curves(self.id)).curves)

    def stop(self) -> Experiment:
        """Propose no more trials; running ones end after their epoch."""
        self.client.send(operations.stop_experiment(self.id))
        self.look()
        return self

    def _picture(self) -> str:
        losses = "validation_loss"  # the other metric is the objective, or as good as it
        shown = [one for one in self.curves() if one.metric != losses][-len(notebook.COLOURS) :]
        return notebook.curves(
            [
                answers.SeriesOfVersion(
                    version_id=one.version_id,
                    metric=f"trial {one.number}, {one.metric}",
                    iterations=list(range(1, len(one.values) + 1)),
                    values=one.values,
                )
                for one in shown
            ]
        )

    def _facts(self) -> dict[str, Any]:
        counts = self.row.counts
        return {"id": self.id, "status": self.status, "completed": counts.completed}
