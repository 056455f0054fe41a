"""Series for charts, sampled once for each event of their version.

A page that is opened again needs the same, and a long series takes its time: `make bench
ARGS=peers` measures both.
"""

import threading

from sqlalchemy import Connection

from projections.training.metric_history import Series
from projections.training.sampled_metrics import sampled_series_of
from projections.training.version_progress import ProgressRow

MOST_CHARTS, MOST_POINTS = 64, 1_000
"""The last charts are kept, if they have at most this number of points of a metric."""


class SampledCharts:
    """The sampled series of a process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[int, list[Series]]] = {}
        self._changing = threading.Lock()

    def series_of(
        self, connection: Connection, progress: ProgressRow, points: int, *, upto: int
    ) -> list[Series]:
        """All of a version's series, at most `points` of each. `progress` and `upto`, the position
        of the metrics, are of the connection's snapshot. Not to be changed."""
        key, last = (progress.version_id, points), progress.position
        known = self._known.get(key)
        if known is not None and known[0] == last <= upto:
            return known[1]
        series = sampled_series_of(connection, progress.version_id, points, upto=upto)
        # The version's last event may not be among the metrics yet.
        if last <= upto and points <= MOST_POINTS:
            with self._changing:
                self._known.pop(key, None)
                self._known[key] = last, series
                if len(self._known) > MOST_CHARTS:
                    del self._known[next(iter(self._known))]
        return series
