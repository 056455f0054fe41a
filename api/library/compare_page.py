"""The page that compares two to eight versions of a view: metrics, options that differ, curves."""

import math
from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Template
from sqlalchemy import Connection

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AsOf, AtLeast, Served
from api.library.messages import METRICS
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from domain.training.architectures import ARCHITECTURES
from domain.training.option_facts import differing, facts_to_compare
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.training.library_queries import VersionRow, find_model, find_version
from projections.training.metric_history import (
    METRIC_HISTORY,
    VALIDATION_ACCURACY,
    VALIDATION_MAP,
    Series,
)
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import VERSION_PROGRESS, ProgressRow, find_progress

SHOWN = (CATALOG, MODELS_LIBRARY, METRIC_HISTORY, VERSION_PROGRESS)
"""The read models that the page shows."""
FEWEST, MOST = 2, 8
POINTS = 400
"""The most points of a curve."""
SHARES = {VALIDATION_ACCURACY, VALIDATION_MAP}

Curve = tuple[list[float], list[float | None]]
"""The epochs, and the value at each, None for what is no number."""


class ComparedVersions(Page, frozen=True, kw_only=True):
    """Versions in the order of the address; `curves` are theirs by metric.

    `options` are those that differ: the label, and the value of each version in words.
    """

    moment: Moment
    project: ProjectRow
    view: ViewRow
    versions: list[VersionRow]
    models: dict[str, str]
    curves: list[dict[str, Curve]]
    options: list[tuple[str, list[str]]]
    architectures: dict[str, str]

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def comparable(self) -> bool:
        """Whether all that are frozen have the same validation set."""
        return len({row.validation_set for row in self.versions if row.validation_set}) < 2

    @property
    def metrics(self) -> list[tuple[str, str, bool]]:
        """The metrics that one of them has: key, label, and whether it is a share."""
        return [
            (key, label, key in SHARES)
            for key, label in METRICS.items()
            if any(key in curves for curves in self.curves)
        ]

    @property
    def drawn(self) -> list[dict[str, object]]:
        return [
            {"name": version.name, "series": curves}
            for version, curves in zip(self.versions, self.curves, strict=True)
        ]

    def is_best(self, version: VersionRow) -> bool:
        known = [row.indicator for row in self.versions if row.indicator is not None]
        return version.indicator is not None and version.indicator == max(known)


class CompareVersionsPages(Controller):
    """Comparisons of versions."""

    @get("/views/{view_id:str}/compare", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def compare(
        self,
        backend: Served,
        view_id: FromPath[str],
        versions: Annotated[str, QueryParameter(description="Ids, separated by commas")] = "",
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        ids = list(dict.fromkeys(key.strip() for key in versions.split(",") if key.strip()))
        if not FEWEST <= len(ids) <= MOST:
            raise Invalid(
                f"versions must name {FEWEST} to {MOST} versions, got {len(ids)}: choose them in"
                " the view's library",
                field="versions",
            )
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            view = find_view(connection, view_id, as_of=at)
            project = find_project(connection, view.project_id, as_of=at) if view else None
            if view is None or project is None:
                raise NotFound(f"view not found{at_position(at)}")
            rows = []
            for key in ids:
                row = find_version(connection, key, as_of=at)
                if row is None or row.view_id != view_id:
                    raise NotFound(f"the view has no version {key!r}{at_position(at)}")
                rows.append(row)
            curves = []
            for row in rows:
                progress = find_progress(connection, row.version_id, as_of=at)
                upto = position if at is None else at
                curves.append(_curves(backend, connection, progress, upto))
            names = {
                row.model_id: model.name if (model := find_model(connection, row.model_id)) else ""
                for row in rows
            }
            moment = moment_of(backend, connection, at, SHOWN)
        page = ComparedVersions(
            position=position,
            api=moment.of(f"/api/v1/versions?view_id={view_id}"),
            moment=moment,
            project=project,
            view=view,
            versions=rows,
            models=names,
            curves=curves,
            options=differing(
                [
                    facts_to_compare(view.kind, row.options, row.trainer, adopted=row.adopted)
                    for row in rows
                ]
            ),
            architectures={key: entry.label for key, entry in ARCHITECTURES.items()},
        )
        return render("library/compare.html", page)


def _curves(
    backend: Backend, connection: Connection, progress: ProgressRow | None, upto: int
) -> dict[str, Curve]:
    if progress is None or not progress.iterations_per_epoch:
        return {}
    series = backend.charts.series_of(connection, progress, POINTS, upto=upto)
    return {one.metric: _curve(one, progress.iterations_per_epoch) for one in series}


def _curve(series: Series, per_epoch: int) -> Curve:
    epochs = [iteration / per_epoch for iteration in series.iterations]
    return epochs, [value if math.isfinite(value) else None for value in series.values]
