"""Metrics of trainings, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stemma_client import notebook
from stemma_client._generated import operations
from stemma_client._generated.answers import ManyMetricsView, SeriesOfVersion
from stemma_client.requests import Request
from stemma_client.tables import Table

IDS_PER_REQUEST = 100
"""Versions whose metrics are requested at once: their ids are in the address."""


class Metrics(Table):
    """All values of metrics in the long form: a row for each value.

    `series` has the same as arrays, one for each version and metric. It has every value; `thinned`
    returns fewer.
    """

    def __init__(self, series: Sequence[SeriesOfVersion], names: Mapping[str, str]) -> None:
        self.series = tuple(series)
        self._names = dict(names)
        columns: dict[str, list[Any]] = {
            "version_id": [],
            "name": [],
            "metric": [],
            "iteration": [],
            "value": [],
        }
        for one in self.series:
            count = len(one.values)
            columns["version_id"] += [one.version_id] * count
            columns["name"] += [self._names.get(one.version_id, "")] * count
            columns["metric"] += [one.metric] * count
            columns["iteration"] += one.iterations
            columns["value"] += one.values
        super().__init__(columns)

    def thinned(self, most: int) -> Metrics:
        """At most this many values of each series, evenly spaced, with the last one."""
        return Metrics([_thinned(one, most) for one in self.series], self._names)

    def _repr_html_(self) -> str:
        return notebook.curves(self.series[: len(notebook.COLOURS)]) + super()._repr_html_()


def requests_for(
    version_ids: Sequence[str], names: Sequence[str]
) -> Iterator[Request[ManyMetricsView]]:
    """The requests of the metrics of versions; of all metrics where none is named."""
    for first in range(0, len(version_ids), IDS_PER_REQUEST):
        ids = version_ids[first : first + IDS_PER_REQUEST]
        yield operations.list_metrics(version_id=list(ids), metric=list(names) or None)


def _thinned(series: SeriesOfVersion, most: int) -> SeriesOfVersion:
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    count = len(series.values)
    if count <= most:
        return series
    places = [count - 1 - round(at * count / most) for at in range(most)][::-1]
    return SeriesOfVersion(
        version_id=series.version_id,
        metric=series.metric,
        iterations=[series.iterations[place] for place in places],
        values=[series.values[place] for place in places],
    )
