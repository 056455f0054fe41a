"""Models: what predicts a set of concepts, in versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stemma_client._generated import answers, operations
from stemma_client.entities import Entity
from stemma_client.tables import Rows
from stemma_client.versions import Version

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Model(Entity):
    """A model of a view: one for each set of concepts."""

    kind = "model"

    def __init__(self, client: Stemma, row: answers.ModelRow) -> None:
        super().__init__(client, row.model_id, row.name)
        self.row = row

    def versions(self, *, archived: bool = False) -> Rows[Version]:
        """All its versions, newest first."""
        request = operations.list_versions(model_id=self.id, archived=archived, limit=500)
        pages = self.client.pages(request)
        return Rows(Version(self.client, row) for page in pages for row in page.items)

    def train(self, *, name: str | None = None, key: str | None = None, **options: Any) -> Version:
        """Start a training of this model, as `View.train` does of the view's current one."""
        body = answers.NewVersion(name=name, options=options)
        started = self.client.send(operations.train_model(self.id, body), key=key)
        return self.client.version(started.id)

    def fork(
        self, concepts: Sequence[str], why: str, *, name: str | None = None, key: str | None = None
    ) -> Model:
        """A model of some of the concepts, by their ids; `why` stays in the log."""
        body = answers.NewFork(concepts=list(concepts), why=why, name=name)
        made = self.client.send(operations.fork_model(self.id, body), key=key)
        return self.client.model(made.id)

    def rename(self, name: str) -> Model:
        """Give it another name."""
        self.client.send(operations.rename_model(self.id, answers.NewName(name=name)))
        return self.client.model(self.id)

    def archive(self) -> None:
        """Archive it: it is no longer listed."""
        self.client.send(operations.archive_model(self.id))

    def _facts(self) -> dict[str, Any]:
        return {"id": self.id, "versions": self.row.versions}
