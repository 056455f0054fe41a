"""Imports of folders, archives and videos."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stemma_client._generated import answers, operations
from stemma_client.entities import Entity
from stemma_client.errors import ImportFailed
from stemma_client.tables import Rows, Table
from stemma_client.waiting import wait_for

if TYPE_CHECKING:
    from stemma_client.client import Stemma

REQUESTED = "requested"
GOOD = frozenset({"completed", "checked"})


class Import(Entity):
    """An import, which runs on the server."""

    kind = "import"

    def __init__(self, client: Stemma, import_id: str) -> None:
        self._view = client.send(operations.get_import(import_id))
        super().__init__(client, import_id, self._view.item.source)

    @property
    def row(self) -> answers.ImportRow:
        """The server's full answer."""
        return self._view.item

    @property
    def source(self) -> str:
        """The name of the source."""
        return self.row.source

    @property
    def status(self) -> str:
        """`requested` while it runs; then `completed`, `checked` (a dry run) or what went wrong."""
        return self.row.status

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status != REQUESTED

    @property
    def progress(self) -> float:
        """The completed share of its current phase."""
        at = self._view.progress
        return at.done / at.total if at is not None and at.total else 0.0

    @property
    def counts(self) -> answers.ImportCounts:
        """The counts of what was read and changed, 0 until it has ended; for a dry run, what would
        be."""
        return self.row.counts or answers.ImportCounts()

    def look(self, seconds: float = 0, *, patience: float | None = None) -> None:
        """Read it again, as soon as it has ended or after some seconds."""
        request = operations.get_import(self.id, wait=seconds)
        self._view = self.client.send(request, patience=patience)

    def wait(self, timeout: float | None = None, *, bar: bool | None = None) -> Import:
        """Wait for its end. Raises `ImportFailed`, but not for a dry run, whose `problems` are its
        result; and `WaitTimeout`."""
        wait_for([self], timeout=timeout, bar=bar)
        if self.status not in GOOD and not self.row.rules.dry_run:
            raise ImportFailed(self, self.row.reason or "it gives no reason")
        return self

    @property
    def problems(self) -> Table:
        """All problems, images left out and remarks, with their places; empty where there are
        none."""
        lines: list[dict[str, Any]] = []
        if self.row.report is not None:
            report = self.client.send(operations.get_import_report(self.id))
            lines = [json.loads(line) for line in report.splitlines()]
        names = ("kind", "where", "text")
        return Table({name: [line.get(name) for line in lines] for name in names})

    @property
    def first_problems(self) -> Rows[answers.ImportProblem]:
        """The first problems."""
        return Rows(self.row.first)

    def _facts(self) -> dict[str, Any]:
        return {"id": self.id, "status": self.status, "problems": self.row.problems}
