"""The pace of an import: it goes no faster than the dataset can be shown.

Without it, an import on a small machine takes the processor from the read models, and whoever works
meanwhile waits for all of its images before seeing what they wrote.
"""

import time

from adapters.postgres.postgres import engine_for
from projections.dataset.dataset import DATASET
from projections.engine.follow import position_of

PATIENCE_SECONDS = 0.5
"""After so long without an advance of the read model it is not waited for: its service may be down.
The next time it is half as long, until it advances again."""
LOOK_SECONDS = 0.02


class Pace:
    """Keeps an import near the dataset's read model."""

    def __init__(self, database_url: str) -> None:
        self._engine = engine_for(database_url, 1)
        self._patience = PATIENCE_SECONDS

    def keep(self, position: int) -> None:
        """Wait until the read model has come to a position, unless it stands still."""
        seen, since = -1, time.monotonic()
        while (at := self._position()) < position:
            if at > seen >= 0:
                self._patience, since = PATIENCE_SECONDS, time.monotonic()
            seen = at
            if time.monotonic() - since > self._patience:
                self._patience /= 2
                return
            time.sleep(LOOK_SECONDS)

    def _position(self) -> int:
        with self._engine.begin() as connection:
            return position_of(connection, DATASET.name)
