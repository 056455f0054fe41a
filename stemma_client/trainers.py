"""Trainers: training code of one's own, as the server knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma

Setting = answers.Number | answers.TrainersFormChoice | answers.Flag | answers.Text
"""A control of a trainer's form."""


class Trainers:
    """The registered trainers."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def list(self, *, retired: bool = False) -> Rows[answers.TrainerRow]:
        """All trainers; with `retired`, also those that take no more trainings."""
        return Rows(self._client.send(operations.list_trainers(retired=retired)).items)

    def get(self, trainer_id: str) -> answers.TrainerRow:
        """A trainer."""
        return self._client.send(operations.get_trainer(trainer_id)).trainer

    def register(
        self,
        name: str,
        kinds: Sequence[str],
        settings: Sequence[Setting] = (),
        *,
        checkpoint_format: str = "opaque",
        predicts: bool = False,
        key: str | None = None,
    ) -> str:
        """Register a trainer for kinds of views, with the settings of its form; its id.

        `checkpoint_format` is safetensors, onnx or opaque. With `predicts`, its workers
        predict other images by them: its code has a predictor.
        """
        body = answers.NewTrainer(
            name=name,
            kinds=[*kinds],
            settings=[*settings],
            format=checkpoint_format,
            predicts=predicts,
        )
        return self._client.send(operations.register_trainer(body), key=key).id

    def set_form(
        self,
        trainer_id: str,
        kinds: Sequence[str],
        settings: Sequence[Setting],
        *,
        predicts: bool | None = None,
    ) -> None:
        """Change its kinds of views and its form, for future trainings.

        `predicts` changes whether its workers predict other images; None leaves it as it is.
        """
        if predicts is None:
            predicts = self.get(trainer_id).predicts
        body = answers.TrainerForm(kinds=[*kinds], settings=[*settings], predicts=predicts)
        self._client.send(operations.set_trainer_form(trainer_id, body))

    def seeds(self) -> Rows[answers.IssuedSeed]:
        """The last seed of each trainer's worker, with revoked ones."""
        return Rows(self._client.send(operations.list_trainer_seeds()).items)

    def issue_seed(
        self,
        trainer_id: str,
        worker: str,
        *,
        project_id: str | None = None,
        key: str | None = None,
    ) -> answers.SeedAnswer:
        """A seed for a worker that takes its jobs, of one project or of all. It is shown once."""
        body = answers.NewSeed(worker=worker, project_id=project_id)
        return self._client.send(operations.issue_trainer_seed(trainer_id, body), key=key)

    def revoke_seed(self, trainer_id: str, worker: str) -> answers.SeedAnswer:
        """Cut a worker off."""
        return self._client.send(operations.revoke_trainer_seed(trainer_id, worker))

    def retire(self, trainer_id: str) -> None:
        """Retire it: it takes no more trainings."""
        self._client.send(operations.retire_trainer(trainer_id))
