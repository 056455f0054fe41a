"""The database rows of a bundle: its events, the checkpoints that cover them, the named blobs.

All rows are read in one transaction's snapshot, in constant memory.
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from adapters.audit.signing import open_checkpoint
from adapters.audit.stored import (
    PAGE,
    Connection,
    Row,
    StoredCheckpoint,
    checkpoints_by_size,
    events,
)
from domain.aggregates import EXPERIMENT, MODEL, PROJECT, VERSION, VIEW
from domain.audit.signed_note import VerifierKey
from domain.audit.transparency import Checkpoint
from domain.errors import NotFound

SPACING = 1000

_WHOLE = "SELECT originator_id FROM log.stemma_events"
_IMAGES = """
    SELECT originator_id FROM log.stemma_events WHERE topic = 'image.added'
    AND log.project_of(state) = %(project)s AND notification_id <= %(images_upto)s"""
_NAMED = f"SELECT unnest(%(streams)s::text[]) UNION {_IMAGES}"
_OF_PROJECT = f"""
    SELECT %(of)s UNION {_IMAGES}
    UNION SELECT stream FROM log.events WHERE data ->> 'project_id' = %(project)s
    AND name IN ('view.created', 'version.created', 'import.requested', 'experiment.started')
    UNION SELECT model.stream FROM log.events model JOIN log.events view
    ON view.stream = 'view-' || (model.data ->> 'view_id')
    WHERE model.name IN ('model.created', 'model.forked') AND view.name = 'view.created'
    AND view.data ->> 'project_id' = %(project)s"""


class Selection(msgspec.Struct, frozen=True):
    """The streams of a bundle; `of` is `all` or the requested stream.

    The bundle holds all events of these streams that the checkpoint covers. `kept` are texts of
    checkpoints that a partial bundle must hold, because an auditor wants to compare theirs.
    """

    of: str
    newest: StoredCheckpoint
    query: str
    values: dict[str, Any]
    kept: frozenset[str] = frozenset()

    def holds(self, stored: StoredCheckpoint, following: StoredCheckpoint | None) -> bool:
        """Whether the bundle holds a checkpoint, given the next one by size.

        Where events are left out, each checkpoint costs the roots of a few subtrees, so that only
        the last one of each `SPACING` events is held, besides those that were kept.
        """
        if self.of == "all" or following is None or stored.size == self.size:
            return True
        if stored.size // SPACING < following.size // SPACING:
            return True
        return Checkpoint(stored.origin, stored.size, stored.root).text() in self.kept

    @property
    def size(self) -> int:
        return self.newest.size

    @property
    def parameters(self) -> dict[str, Any]:
        return self.values | {"size": self.size}


def everything(newest: StoredCheckpoint) -> Selection:
    return Selection("all", newest, _WHOLE, {})


def of_project(connection: Connection, project_id: str, newest: StoredCheckpoint) -> Selection:
    """A selection of a project, its views, their models, versions and experiments, its images and
    imports.

    Raises `NotFound` if the checkpoint does not cover the project.
    """
    stream = PROJECT.stream(project_id)
    _data_of(connection, stream, "project.created", newest)
    values = {"of": stream, "project": project_id, "images_upto": newest.size}
    return Selection(stream, newest, _OF_PROJECT, values)


def of_version(connection: Connection, version_id: str, newest: StoredCheckpoint) -> Selection:
    """A selection of a version, its model, its view and those above that, its project, the
    experiment that it is a trial of, and every image that was added to the project before the
    version was created, or before it was last to be evaluated on the test set.

    Raises `NotFound` if the checkpoint does not cover the version.
    """
    stream = VERSION.stream(version_id)
    created = _data_of(connection, stream, "version.created", newest)
    experiment_id = created.get("experiment_id")
    values = {
        "streams": [
            stream,
            PROJECT.stream(created["project_id"]),
            *_views(connection, created["view_id"], newest),
            MODEL.stream(created["model_id"]),
            *([] if experiment_id is None else [EXPERIMENT.stream(experiment_id)]),
        ],
        "project": created["project_id"],
        "images_upto": max(created["log_position"], _tested_at(connection, stream, newest)),
    }
    return Selection(stream, newest, _NAMED, values)


def _tested_at(connection: Connection, stream: str, newest: StoredCheckpoint) -> int:
    """The position of the test set that a version was last to be evaluated on, or 0."""
    row = connection.execute(
        "SELECT max((data ->> 'log_position')::bigint) FROM log.events WHERE stream = %s"
        " AND name = 'version.test_evaluation_requested' AND position <= %s",
        (stream, newest.size),
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _views(connection: Connection, view_id: str, newest: StoredCheckpoint) -> Iterator[str]:
    """The streams of a view and of the views above it."""
    above: str | None = view_id
    while above is not None:
        stream = VIEW.stream(above)
        yield stream
        above = _data_of(connection, stream, "view.created", newest).get("parent_id")


def _data_of(
    connection: Connection, stream: str, name: str, newest: StoredCheckpoint
) -> dict[str, Any]:
    row = connection.execute(
        "SELECT data, position FROM log.events WHERE stream = %s AND name = %s", (stream, name)
    ).fetchone()
    if row is None:
        raise NotFound(f"the log has no {stream}")
    data: dict[str, Any]
    data, position = row
    if position > newest.size:
        raise NotFound(f"{stream} is newer than the last signed checkpoint; try again in a moment")
    return data


def checkpoints(
    connection: Connection, selection: Selection, keys: Collection[VerifierKey]
) -> Iterator[tuple[StoredCheckpoint, bool]]:
    """The log's signed checkpoints by size, up to the newest, and whether the bundle holds each.

    Checkpoints of an abandoned log, which an older copy of the database replaced, have another
    origin. Raises `Malformed` or `Unsigned` for a checkpoint that is not valid.
    """
    own = (
        stored
        for stored in checkpoints_by_size(connection)
        if stored.origin == selection.newest.origin
    )
    current = next(own, None)
    while current is not None:
        open_checkpoint(current.note, keys)
        following = next(own, None)
        yield current, selection.holds(current, following)
        current = following


def uncovered(connection: Connection, selection: Selection) -> int:
    """The number of events that the bundle lacks because no checkpoint covers them yet."""
    row = connection.execute(
        f"WITH chosen (stream) AS ({selection.query}) SELECT count(*) FROM log.stemma_events"
        " WHERE notification_id > %(size)s AND originator_id IN (SELECT stream FROM chosen)",
        selection.parameters,
    ).fetchone()
    return int(row[0]) if row else 0


def covered_events(connection: Connection, selection: Selection) -> Iterator[tuple[Row, bool]]:
    """The events that the checkpoint covers, in order, and whether the bundle holds each."""
    positions = _positions(connection, selection)
    following = next(positions, None)
    for page in events(connection, 0, selection.size):
        for row in page:
            chosen = row[0] == following
            if chosen:
                following = next(positions, None)
            yield row, chosen


def _positions(connection: Connection, selection: Selection) -> Iterator[int]:
    """The positions of the events in the bundle, which the database sorts, on disk if necessary."""
    with connection.cursor("bundle_positions", binary=True) as cursor:
        cursor.itersize = PAGE
        cursor.execute(
            f"WITH chosen (stream) AS ({selection.query})"
            " SELECT notification_id FROM log.stemma_events"
            " JOIN (SELECT DISTINCT stream FROM chosen) AS streams"
            " ON originator_id = stream WHERE notification_id <= %(size)s"
            " ORDER BY notification_id",
            selection.parameters,
        )
        for (position,) in cursor:
            yield position


MANIFEST = "manifest"


def blobs(connection: Connection, selection: Selection) -> Iterator[tuple[str, str]]:
    """Digest and kind of each blob that the bundle's events name, sorted and without duplicates."""
    with connection.cursor("bundle_blobs") as cursor:
        cursor.itersize = PAGE
        cursor.execute(
            f"WITH chosen (stream) AS ({selection.query}), named (digest, kind) AS ("
            " SELECT CASE name WHEN 'image.added' THEN data ->> 'blob'"
            " WHEN 'version.created' THEN data #>> '{initial_weights,blob}'"
            " WHEN 'version.training_started' THEN data ->> 'source'"
            " WHEN 'version.dataset_frozen' THEN data ->> 'manifest'"
            " WHEN 'version.test_evaluation_requested' THEN data ->> 'manifest'"
            " WHEN 'version.evaluated' THEN data ->> 'predictions'"
            " WHEN 'version.result_measured' THEN data ->> 'predictions'"
            " WHEN 'version.test_evaluated' THEN data ->> 'predictions'"
            " WHEN 'version.predictions_reported' THEN data ->> 'predictions'"
            " WHEN 'version.epoch_items_recorded' THEN data ->> 'items'"
            " ELSE data ->> 'checkpoint' END,"
            " CASE name WHEN 'image.added' THEN 'image'"
            " WHEN 'version.training_started' THEN 'code'"
            " WHEN 'version.dataset_frozen' THEN 'manifest'"
            " WHEN 'version.test_evaluation_requested' THEN 'manifest'"
            " WHEN 'version.evaluated' THEN 'predictions'"
            " WHEN 'version.result_measured' THEN 'predictions'"
            " WHEN 'version.test_evaluated' THEN 'predictions'"
            " WHEN 'version.predictions_reported' THEN 'predictions'"
            " WHEN 'version.epoch_items_recorded' THEN 'items' ELSE 'weights' END"
            " FROM log.events JOIN (SELECT DISTINCT stream FROM chosen) AS streams USING (stream)"
            " WHERE position <= %(size)s AND name IN ('image.added', 'version.created',"
            " 'version.dataset_frozen', 'version.evaluated', 'version.epoch_items_recorded',"
            " 'version.training_started', 'version.result_measured', 'version.adopted',"
            " 'version.training_completed', 'version.test_evaluation_requested',"
            " 'version.test_evaluated', 'version.predictions_reported'))"
            " SELECT digest, min(kind) FROM named WHERE digest IS NOT NULL"
            " GROUP BY digest ORDER BY digest",
            selection.parameters,
        )
        yield from cursor
