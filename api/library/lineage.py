"""A view's family tree: a lane for each model, on which its versions stand in the order of time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from domain.formatting import counted, percent
from domain.training.version import CANCELLED, FAILED
from projections.experiments.queries import ExperimentRow, list_experiments
from projections.training.library_queries import (
    OLDEST,
    ModelRow,
    VersionFilter,
    VersionRow,
    library,
    list_versions,
)

MOST = 500
"""The most models, versions and experiments that are drawn."""
STEP, LANE, MARGIN = 38, 74, 20
BASE = 44
"""Where the first lane lies, below the name of its model."""


class Node(msgspec.Struct, frozen=True):
    """A version, or an experiment folded with its trials, at a place in pixels."""

    x: int
    y: int
    address: str
    text: str
    title: str
    status: str
    best: bool
    trials: bool


class Lane(msgspec.Struct, frozen=True):
    """A model from where it begins to its last node; `why` is what was changed by the fork."""

    x: int
    y: int
    end: int
    model: ModelRow
    why: str


class Edge(msgspec.Struct, frozen=True):
    """A path of an SVG: a fork, or a training that started from another version's weights."""

    path: str
    start_from: bool


class Tree(msgspec.Struct, frozen=True):
    width: int
    height: int
    lanes: list[Lane]
    nodes: list[Node]
    edges: list[Edge]

    @property
    def branches(self) -> bool:
        """Whether there is more to see than a row of versions."""
        return bool(self.edges)


def read_tree(connection: Connection, view_id: str, *, as_of: int | None = None) -> Tree:
    """The tree of all models, of the versions that are not archived, and of the experiments."""
    models = [
        row.model
        for row in library(
            connection, view_id, limit=MOST, versions_each=0, archived=True, as_of=as_of
        )
    ]
    of_view = VersionFilter(view_id=view_id, trials=False)
    versions = list_versions(connection, of_view, sort=OLDEST, limit=MOST, as_of=as_of)
    now = datetime.now(UTC)
    experiments = list_experiments(connection, view_id, now, limit=MOST, as_of=as_of)
    return draw(models, versions, experiments)


def draw(
    models: list[ModelRow], versions: list[VersionRow], experiments: list[ExperimentRow]
) -> Tree:
    """Each model, version and experiment takes the next place to the right, in the order of time.

    So no edge leads to the left, whatever is forked from whatever.
    """
    models = list(_in_lanes(models))
    lanes = {model.model_id: row for row, model in enumerate(models)}
    every: list[ModelRow | VersionRow | ExperimentRow] = [*models, *versions, *experiments]
    born = sorted(every, key=lambda each: each.created_position)
    x = {_key(each): MARGIN + STEP * place for place, each in enumerate(born)}
    y = {key: BASE + LANE * row for key, row in lanes.items()}
    best = max((row.indicator for row in versions if row.indicator is not None), default=None)
    nodes = [_version_node(row, x, y, best) for row in versions if row.model_id in y]
    nodes += [_experiment_node(row, x, y) for row in experiments if row.model_id in y]
    drawn = [
        Lane(
            x[model.model_id],
            y[model.model_id],
            max([x[model.model_id], *(n.x for n in nodes if n.y == y[model.model_id])]),
            model,
            model.why or "",
        )
        for model in models
    ]
    return Tree(
        width=MARGIN + STEP * len(born) + 160,
        height=BASE + LANE * (len(lanes) - 1) + 40,
        lanes=drawn,
        nodes=nodes,
        edges=[*_forks(drawn, nodes), *_starts(versions, x, y)],
    )


def _key(each: ModelRow | VersionRow | ExperimentRow) -> str:
    if isinstance(each, ExperimentRow):
        return each.experiment_id
    return each.version_id if isinstance(each, VersionRow) else each.model_id


def _in_lanes(models: list[ModelRow]) -> Iterator[ModelRow]:
    """Each model, directly above those forked from it; the oldest first."""
    known = {model.model_id for model in models}
    ordered = sorted(models, key=lambda model: model.created_position)

    def below(parent: str | None) -> Iterator[ModelRow]:
        for model in ordered:
            if (model.parent if model.parent in known else None) == parent:
                yield model
                yield from below(model.model_id)

    return below(None)


def _version_node(
    row: VersionRow, x: dict[str, int], y: dict[str, int], best: float | None
) -> Node:
    is_best = best is not None and row.indicator == best
    indicator = "" if row.indicator is None else f", {percent(row.indicator, 1)}"
    return Node(
        x=x[row.version_id],
        y=y[row.model_id],
        address=f"/versions/{row.version_id}",
        text=str(row.number),
        title=f"{row.name}: {row.status}{indicator}{', the best' if is_best else ''}",
        status=row.status if row.status in {FAILED, CANCELLED} or row.ended_at else "running",
        best=is_best,
        trials=False,
    )


def _experiment_node(row: ExperimentRow, x: dict[str, int], y: dict[str, int]) -> Node:
    value = row.best.value if row.best else None
    return Node(
        x=x[row.experiment_id],
        y=y[row.model_id],
        address=f"/experiments/{row.experiment_id}",
        text=f"{row.budget}",
        title=f"{row.name}: experiment of {counted(row.budget, 'trial')}, {row.state}"
        + (f", best {percent(value, 1)}" if value is not None else ""),
        status=row.state,
        best=False,
        trials=True,
    )


def _forks(lanes: list[Lane], nodes: list[Node]) -> Iterator[Edge]:
    """From the last that the parent had when it was forked to the beginning of the fork."""
    by_model = {lane.model.model_id: lane for lane in lanes}
    for lane in lanes:
        parent = by_model.get(lane.model.parent or "")
        if parent is None:
            continue
        before = [n.x for n in nodes if n.y == parent.y and n.x < lane.x]
        start = max([parent.x, *before])
        middle = lane.y - LANE // 2
        path = f"M{start},{parent.y} C{start},{middle} {lane.x},{middle} {lane.x},{lane.y}"
        yield Edge(path, start_from=False)


def _starts(versions: list[VersionRow], x: dict[str, int], y: dict[str, int]) -> Iterator[Edge]:
    drawn = {row.version_id: row for row in versions}
    for row in versions:
        origin = drawn.get(row.options.start_from or "")
        if origin is None or row.model_id not in y or origin.model_id not in y:
            continue
        (x0, y0), (x1, y1) = ((x[each.version_id], y[each.model_id]) for each in (origin, row))
        if y0 == y1:
            path = f"M{x0},{y0 + 12} C{x0},{y0 + 34} {x1},{y1 + 34} {x1},{y1 + 12}"
        else:
            near, far = (12, -12) if y1 > y0 else (-12, 12)
            path = f"M{x0},{y0 + near} C{x0},{y1 + 2 * far} {x1},{y0 + 2 * near} {x1},{y1 + far}"
        yield Edge(path, start_from=True)
