"""What the Models Library answers: a view's models with their versions, and lists of versions."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from domain.errors import Invalid
from domain.messages import ConceptLabel
from domain.options import TrainingOptions
from domain.version import ENDED
from projections.models_library import models, versions

NEWEST, OLDEST, BEST, NAME = "newest", "oldest", "best", "name"
SORTS = (NEWEST, OLDEST, BEST, NAME)


class VersionRow(msgspec.Struct, frozen=True):
    """A version as lists show it.

    `progress` is in [0, 1]; `indicator` is the saved checkpoint's validation accuracy, of tagging
    and detection its validation mAP; a cancelled version has neither. `final_weights` is the sha256
    of the last iteration's weights.
    `validation_set` is the sha256 of the ids of the images that validate; `comparable` says
    whether it is that of the version of the view that was frozen last, None while it is not known.
    """

    version_id: str
    model_id: str
    view_id: str
    project_id: str
    number: int
    name: str
    status: str
    reason: str | None
    progress: float
    architecture: str
    options: TrainingOptions
    concepts: list[ConceptLabel]
    log_position: int
    manifest: str | None
    train_images: int | None
    validation_images: int | None
    validation_set: str | None
    comparable: bool | None
    indicator: float | None
    checkpoint: str | None
    checkpoint_bytes: int | None
    final_weights: str | None
    attempt: int
    archived: bool
    created_at: datetime
    created_position: int
    ended_at: datetime | None
    revision: int


class ModelRow(msgspec.Struct, frozen=True):
    """A model as the library lists it; `concepts` are concept ids."""

    model_id: str
    view_id: str
    name: str
    parent: str | None
    why: str | None
    concepts: list[str]
    archived: bool
    versions: int
    created_at: datetime
    created_position: int
    revision: int


class LibraryRow(msgspec.Struct, frozen=True):
    """A model and its newest versions."""

    model: ModelRow
    versions: list[VersionRow]


def library(
    connection: Connection,
    view_id: str,
    *,
    before: int | None = None,
    limit: int = 20,
    versions_each: int = 50,
    archived: bool = False,
) -> list[LibraryRow]:
    """A view's models, newest first, with at most `versions_each` of each one's newest versions.

    `before` is the `created_position` of the last model seen.
    """
    query = (
        select(models)
        .where(models.c.view_id == view_id)
        .order_by(models.c.created_position.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(models.c.created_position < before)
    if not archived:
        query = query.where(~models.c.archived)
    found = [ModelRow(**row._mapping) for row in connection.execute(query)]
    listed = _newest_of_each(connection, [row.model_id for row in found], versions_each, archived)
    return [LibraryRow(row, listed[row.model_id]) for row in found]


def _newest_of_each(
    connection: Connection, model_ids: list[str], each: int, archived: bool
) -> dict[str, list[VersionRow]]:
    place = func.row_number().over(
        partition_by=versions.c.model_id, order_by=versions.c.number.desc()
    )
    ranked = select(versions, place.label("place")).where(versions.c.model_id.in_(model_ids))
    if not archived:
        ranked = ranked.where(~versions.c.archived)
    rows = ranked.subquery()
    query = select(rows).where(rows.c.place <= each).order_by(rows.c.model_id, rows.c.place)
    found: dict[str, list[VersionRow]] = {model_id: [] for model_id in model_ids}
    for version in _versions(connection, query):
        found[version.model_id].append(version)
    return found


def find_model(connection: Connection, model_id: str) -> ModelRow | None:
    row = connection.execute(select(models).where(models.c.model_id == model_id)).first()
    return None if row is None else ModelRow(**row._mapping)


def find_version(connection: Connection, version_id: str) -> VersionRow | None:
    found = _versions(connection, select(versions).where(versions.c.version_id == version_id))
    return found[0] if found else None


class VersionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions to list; what is None does not restrict."""

    view_id: str | None = None
    model_id: str | None = None
    status: str | None = None
    architecture: str | None = None
    name: str | None = None
    archived: bool = False


def list_versions(
    connection: Connection,
    wanted: VersionFilter,
    *,
    sort: str = NEWEST,
    after: str | None = None,
    limit: int = 50,
) -> list[VersionRow]:
    """Versions that match, in the order asked for; `after` is the id of the last one seen."""
    query = select(versions)
    for column in ("view_id", "model_id", "status", "architecture"):
        value = getattr(wanted, column)
        if value is not None:
            query = query.where(versions.c[column] == value)
    if wanted.name:
        query = query.where(versions.c.name.icontains(wanted.name, autoescape=True))
    if not wanted.archived:
        query = query.where(~versions.c.archived)
    query = _sorted(query, sort, after).limit(limit)
    return _versions(connection, query)


def list_unfinished(
    connection: Connection, *, after: int | None = None, limit: int = 100
) -> list[VersionRow]:
    """The versions of all views that have not ended, oldest first.

    `after` is the `created_position` of the last one seen.
    """
    query = (
        select(versions)
        .where(versions.c.status.not_in(ENDED))
        .order_by(versions.c.created_position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(versions.c.created_position > after)
    return _versions(connection, query)


def _sorted(query: Select[Any], sort: str, after: str | None) -> Select[Any]:
    """Keyset paging: everything behind the row `after` in the order asked for."""
    orders: dict[str, tuple[Any, bool]] = {
        NEWEST: (versions.c.created_position, True),
        OLDEST: (versions.c.created_position, False),
        BEST: (func.coalesce(versions.c.indicator, -1.0), True),
        NAME: (versions.c.name, False),
    }
    if sort not in orders:
        raise Invalid(f"sort is {sort!r}; it is one of {', '.join(SORTS)}", field="sort")
    key, descending = orders[sort]
    tie = versions.c.created_position
    query = query.order_by(key.desc() if descending else key, tie.desc())
    if after is None:
        return query
    last = select(key, tie).where(versions.c.version_id == after).subquery()
    last_key, last_tie = (select(column).scalar_subquery() for column in last.c)
    beyond = key < last_key if descending else key > last_key
    return query.where(or_(beyond, and_(key == last_key, tie < last_tie)))


def _versions(connection: Connection, query: Select[Any]) -> list[VersionRow]:
    rows = connection.execute(query).all()
    newest = _validation_sets(connection, {row.view_id for row in rows})
    return [_version(row._mapping, newest.get(row.view_id)) for row in rows]


def _validation_sets(connection: Connection, view_ids: set[str]) -> dict[str, str]:
    """The validation set of each view's version that was frozen last."""
    query = (
        select(versions.c.view_id, versions.c.validation_set)
        .where(versions.c.view_id.in_(view_ids), versions.c.validation_set.is_not(None))
        .order_by(versions.c.view_id, versions.c.frozen_position.desc())
        .ext(distinct_on(versions.c.view_id))
    )
    return {row.view_id: row.validation_set for row in connection.execute(query)}


def _version(row: Any, newest: str | None) -> VersionRow:
    own = row["validation_set"]
    values = {name: row[name] for name in VersionRow.__struct_fields__ if name != "comparable"}
    values["options"] = msgspec.convert(values["options"], TrainingOptions)
    values["concepts"] = msgspec.convert(values["concepts"], list[ConceptLabel])
    return VersionRow(**values, comparable=None if own is None else own == newest)
