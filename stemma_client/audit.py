"""The audit trail, and the checkpoints of the log. Needs the right to audit."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.errors import WaitTimeout
from stemma_client.merkle import check_consistency, checkpoint_in
from stemma_client.proofs import text_of
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma

LOOK_AGAIN_SECONDS = 0.5


class Audit:
    """The audit trail, refusals and checkpoints."""

    def __init__(self, client: Stemma) -> None:
        self._client = client

    def trail(
        self,
        *,
        actor: str | None = None,
        event: str | None = None,
        project_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Rows[answers.Line]:
        """All events, oldest first, restricted by the filters."""
        request = operations.list_trail(
            actor=actor,
            event=event,
            project=project_id,
            since=None if since is None else since.isoformat(),
            until=None if until is None else until.isoformat(),
            order="oldest",
            limit=500,
        )
        return Rows(line for page in self._client.pages(request) for line in page.items)

    def refusals(self) -> Rows[answers.RefusalRow]:
        """Requests that were denied, newest first."""
        pages = self._client.pages(operations.list_refusals(limit=500))
        return Rows(one for page in pages for one in page.items)

    def checkpoint(self, *, at_least: int = 0, timeout: float = 60.0) -> answers.CheckpointView:
        """The newest signed checkpoint; keep its `note` where the operator cannot write.

        It proves what is in the log up to its `size`. With `at_least`, a position, it is waited for
        one that reaches so far. Raises `WaitTimeout` after so many seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            newest = self._client.send(operations.get_latest_checkpoint())
            if newest.size >= at_least:
                return newest
            if time.monotonic() > deadline:
                raise WaitTimeout(
                    f"after {timeout:g} s the log is signed up to {newest.size:,}, and not up to"
                    f" {at_least:,}: is the signer running?"
                )
            time.sleep(LOOK_AGAIN_SECONDS)

    def checkpoints(self) -> Rows[answers.CheckpointView]:
        """All signed checkpoints, newest first."""
        pages = self._client.pages(operations.list_checkpoints(limit=500))
        return Rows(one for page in pages for one in page.items)

    def check(self, kept: str | Path) -> answers.CheckpointView:
        """Check that the log extends the one of a checkpoint that you kept; return its newest
        checkpoint. Raises `NotProven`."""
        old, new = checkpoint_in(text_of(kept)), self.checkpoint()
        request = operations.prove_consistency(from_=old.size, to=max(new.size, old.size))
        shown = self._client.send(request)
        proof = [bytes.fromhex(step) for step in shown.proof]
        check_consistency(old, shown.to_size, bytes.fromhex(shown.to_root), proof)
        return new
