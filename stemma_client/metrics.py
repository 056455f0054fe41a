"""Metrics of trainings, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_client import arrow, notebook
from stemma_client._generated import operations
from stemma_client._generated.answers import ManyMetricsView, SeriesOfVersion
from stemma_client.requests import Request, as_arrow
from stemma_client.tables import Table

if TYPE_CHECKING:
    import pyarrow

IDS_PER_REQUEST = 100
"""Versions whose metrics are requested at once: their ids are in the address."""


class Metrics(Table):
    """All values of metrics in the long form: a row for each value.

    `series` has the same as arrays, one for each version and metric. It has every value; `thinned`
    returns fewer.
    """

    def __init__(
        self, series: Sequence[SeriesOfVersion] | pyarrow.Table, names: Mapping[str, str]
    ) -> None:
        self._names_of = dict(names)
        self._series: tuple[SeriesOfVersion, ...] | None = None
        if isinstance(series, Sequence):
            self._series = tuple(series)
            super().__init__(_long_form(self._series, self._names_of))
        else:
            super().__init__(arrow.with_names(series, self._names_of))

    @property
    def series(self) -> tuple[SeriesOfVersion, ...]:
        """The values as arrays, one for each version and metric."""
        if self._series is None:
            self._series = tuple(_series_of(self.to_arrow()))
        return self._series

    def thinned(self, most: int) -> Metrics:
        """At most this many values of each series, evenly spaced, with the last one."""
        return Metrics([_thinned(one, most) for one in self.series], self._names_of)

    def _repr_html_(self) -> str:
        return notebook.curves(self.series[: len(notebook.COLOURS)]) + super()._repr_html_()


def _long_form(series: Sequence[SeriesOfVersion], names: Mapping[str, str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "version_id": [],
        "name": [],
        "metric": [],
        "iteration": [],
        "value": [],
    }
    for one in series:
        count = len(one.values)
        columns["version_id"] += [one.version_id] * count
        columns["name"] += [names.get(one.version_id, "")] * count
        columns["metric"] += [one.metric] * count
        columns["iteration"] += one.iterations
        columns["value"] += one.values
    return columns


def _series_of(table: pyarrow.Table) -> Iterator[SeriesOfVersion]:
    columns = table.to_pydict()
    keys = zip(columns["version_id"], columns["metric"])  # noqa: B905 (3.10)
    first = 0
    for (version_id, metric), values in groupby(keys):
        last = first + sum(1 for _ in values)
        yield SeriesOfVersion(
            version_id=version_id,
            metric=metric,
            iterations=columns["iteration"][first:last],
            values=columns["value"][first:last],
        )
        first = last


def metrics_in(answers: Iterable[ManyMetricsView | bytes], names: Mapping[str, str]) -> Metrics:
    """The metrics of several answers, in JSON or, where the server has it, in Arrow."""
    series: list[SeriesOfVersion] = []
    tables = []
    for answer in answers:
        table = arrow.read(answer) if isinstance(answer, bytes) else None
        if table is not None:
            tables.append(table)
        elif isinstance(answer, bytes):
            series += msgspec.json.decode(answer, type=ManyMetricsView).items
        else:
            series += answer.items
    return Metrics(arrow.joined(tables) if tables else series, names)


def requests_for(version_ids: Sequence[str], names: Sequence[str]) -> Iterator[Request[Any]]:
    """The requests of the metrics of versions; of all metrics where none is named."""
    for first in range(0, len(version_ids), IDS_PER_REQUEST):
        ids = version_ids[first : first + IDS_PER_REQUEST]
        request = operations.list_metrics(version_id=list(ids), metric=list(names) or None)
        yield as_arrow(request) if arrow.is_installed() else request


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
