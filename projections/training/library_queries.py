"""Queries of the Models Library: a view's models with their versions, and lists of versions."""

import math
from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.errors import Invalid
from domain.trainers.trainer import TrainerUse
from domain.training.architectures import ARCHITECTURES
from domain.training.messages import ConceptLabel
from domain.training.options import TrainingOptions, not_built_in
from domain.training.version import CANCELLED, ENDED, FAILED, READY, STEPS, STOPPED
from projections.engine.history import execute_at
from projections.training.models_library import MODELS, VERSIONS, validation_sets

NEWEST, OLDEST, BEST, NAME = "newest", "oldest", "best", "name"
STATUS, ARCHITECTURE, IMAGES, LOSS = "status", "architecture", "images", "loss"
ORDERS = (NEWEST, OLDEST, BEST, NAME, STATUS, ARCHITECTURE, IMAGES, LOSS)
SORTS = (*ORDERS, *(f"-{order}" for order in ORDERS))
"""The orders of versions; those with a minus are reversed."""
STATUSES = (*STEPS, READY, STOPPED, CANCELLED, FAILED)


class VersionRow(msgspec.Struct, frozen=True):
    """A version in a list.

    `progress` is in [0, 1]. `indicator` is the saved checkpoint's validation accuracy, or its
    validation mAP for tagging and detection; `validation_loss` is its loss, None for versions of
    earlier releases. A cancelled version has no indicator, loss or checkpoint. `final_weights` is
    the sha256 of the last iteration's weights. `validation_set` is the sha256 of the ids of the
    validation images, and `images_per_concept` the number of training images by concept id; both
    are None until the dataset is frozen. `comparable` says whether the validation set is the same
    as that of the last frozen version of the view; it is None until it is known. `experiment_id`
    and `trial` name the experiment that it is a trial of, and its number in it. A version of a
    user's own `trainer` has that trainer's name as its architecture, and none of the `options`.
    One that is `adopted` was trained before it was brought, and nobody witnessed it.
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
    experiment_id: str | None
    trial: int | None
    manifest: str | None
    train_images: int | None
    validation_images: int | None
    validation_set: str | None
    images_per_concept: dict[str, int] | None
    comparable: bool | None
    indicator: float | None
    validation_loss: float | None
    checkpoint: str | None
    checkpoint_bytes: int | None
    final_weights: str | None
    attempt: int
    archived: bool
    created_at: datetime
    created_position: int
    ended_at: datetime | None
    revision: int
    trainer: TrainerUse | None = None
    adopted: bool = False


class ModelRow(msgspec.Struct, frozen=True):
    """A model in the library; `concepts` are concept ids."""

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
    trials: bool = True,
    as_of: int | None = None,
) -> list[LibraryRow]:
    """A view's models, newest first, each with at most `versions_each` of its newest versions.

    `before` is the `created_position` of the last model seen; `as_of` is a past position of the
    log. Without `trials`, the versions of experiments are left out.
    """
    rows = list_models(
        connection, view_id, before=before, limit=limit, archived=archived, as_of=as_of
    )
    model_ids = [row.model_id for row in rows]
    source, query = newest_of_each(model_ids, versions_each, archived, trials, as_of)
    by_model: dict[str, list[VersionRow]] = {model_id: [] for model_id in model_ids}
    for version in _versions(connection, source, query, as_of):
        by_model[version.model_id].append(version)
    return [LibraryRow(row, by_model[row.model_id]) for row in rows]


def list_models(
    connection: Connection,
    view_id: str,
    *,
    before: int | None = None,
    limit: int = 20,
    archived: bool = False,
    as_of: int | None = None,
) -> list[ModelRow]:
    """A view's models, newest first."""
    models = MODELS.at(as_of)
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
    return [_model(row._mapping) for row in execute_at(connection, query, as_of)]


def newest_of_each(
    model_ids: list[str], each: int, archived: bool, trials: bool, as_of: int | None
) -> tuple[FromClause, Select[Any]]:
    """The rows of versions, and the query of the newest ones of each model among them."""
    versions = VERSIONS.at(as_of)
    ids = _table_of(model_ids, "model_id")
    newest = (
        select(versions)
        .where(versions.c.model_id == ids.c.model_id)
        .order_by(versions.c.number.desc())
        .limit(each)
    )
    if not archived:
        newest = newest.where(~versions.c.archived)
    if not trials:
        newest = newest.where(versions.c.experiment_id.is_(None))
    rows = newest.lateral()
    query = (
        select(rows)
        .select_from(ids.join(rows, true()))
        .order_by(rows.c.model_id, rows.c.number.desc())
    )
    return rows, query


def _table_of(ids: Collection[str], name: str) -> FromClause:
    """A table of these ids, in a column of this name."""
    parameter = bindparam(None, list(ids), type_=ARRAY(Text))
    return func.unnest(parameter).table_valued(name).render_derived(name="ids")


def find_model(
    connection: Connection, model_id: str, *, as_of: int | None = None
) -> ModelRow | None:
    models = MODELS.at(as_of)
    row = execute_at(connection, select(models).where(models.c.model_id == model_id), as_of).first()
    return None if row is None else _model(row._mapping)


def _model(row: Any) -> ModelRow:
    return ModelRow(**{name: row[name] for name in ModelRow.__struct_fields__})


def find_version(
    connection: Connection, version_id: str, *, as_of: int | None = None
) -> VersionRow | None:
    versions = VERSIONS.at(as_of)
    query = select(versions).where(versions.c.version_id == version_id)
    rows = _versions(connection, versions, query, as_of)
    return rows[0] if rows else None


def versions_by_id(
    connection: Connection, version_ids: Collection[str], *, as_of: int | None = None
) -> dict[str, VersionRow]:
    """Those of the versions that exist."""
    versions = VERSIONS.at(as_of)
    keys = bindparam("keys", list(version_ids), type_=ARRAY(Text))
    query = select(versions).where(versions.c.version_id == func.any(keys))
    return {row.version_id: row for row in _versions(connection, versions, query, as_of)}


def find_previous(
    connection: Connection, version: VersionRow, *, as_of: int | None = None
) -> VersionRow | None:
    """The last version of the view before this one that has a checkpoint.

    For a trial it is one from before its experiment, whose trials all have the same dataset.
    """
    versions = VERSIONS.at(as_of)
    query = (
        select(versions)
        .where(
            versions.c.view_id == version.view_id,
            versions.c.created_position < version.created_position,
            versions.c.checkpoint.is_not(None),
        )
        .order_by(versions.c.created_position.desc())
        .limit(1)
    )
    if version.experiment_id is not None:
        query = query.where(versions.c.experiment_id.is_distinct_from(version.experiment_id))
    rows = _versions(connection, versions, query, as_of)
    return rows[0] if rows else None


class VersionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of versions; None does not restrict. Without `trials`, those of experiments are left
    out."""

    projects: Collection[str] | None = None
    project_id: str | None = None
    view_id: str | None = None
    model_id: str | None = None
    status: str | None = None
    architecture: str | None = None
    name: str | None = None
    archived: bool = False
    experiment_id: str | None = None
    trials: bool = True


def list_versions(
    connection: Connection,
    filters: VersionFilter,
    *,
    sort: str = NEWEST,
    after: str | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[VersionRow]:
    """Versions that match, in the order of `sort`; `after` is the id of the last one seen.

    `as_of` is a past position of the log. Raises `Invalid` for a status or an architecture that no
    version has, or an order that is none.
    """
    source, query = matching(filters, sort, after, limit, as_of)
    return _versions(connection, source, query, as_of)


def matching(
    filters: VersionFilter, sort: str, after: str | None, limit: int, as_of: int | None
) -> tuple[FromClause, Select[Any]]:
    """The rows of versions, and the query of those of a list among them. Raises `Invalid`."""
    _require_known("status", filters.status, STATUSES)
    if "/" not in (filters.architecture or ""):  # else it is the name of a trainer
        _require_known("architecture", filters.architecture, ARCHITECTURES)
    _require_known("sort", sort, SORTS)
    versions = VERSIONS.at(as_of)
    query = select(versions)
    for column in ("project_id", "view_id", "model_id", "status", "architecture"):
        value = getattr(filters, column)
        if value is not None:
            query = query.where(versions.c[column] == value)
    if filters.projects is not None:
        query = query.where(versions.c.project_id.in_(filters.projects))
    if filters.experiment_id is not None:
        query = query.where(versions.c.experiment_id == filters.experiment_id)
    if not filters.trials:
        query = query.where(versions.c.experiment_id.is_(None))
    if filters.name:
        query = query.where(versions.c.name.icontains(filters.name, autoescape=True))
    if not filters.archived:
        query = query.where(~versions.c.archived)
    return versions, _sorted(versions, query, sort, after).limit(limit)


def _require_known(field: str, value: str | None, known: Collection[str]) -> None:
    if value is not None and value not in known:
        raise Invalid(f"{field} must be one of {', '.join(known)}, got {value!r}", field=field)


def list_unfinished(
    connection: Connection,
    *,
    after: int | None = None,
    limit: int = 100,
    among: Collection[str] | None = None,
) -> list[VersionRow]:
    """The unfinished versions of all views, oldest first.

    `after` is the `created_position` of the last one seen. `among` are the ids of the projects
    whose versions may be listed, None for all.
    """
    versions = VERSIONS.live
    query = (
        select(versions)
        .where(versions.c.status.not_in(ENDED))
        .order_by(versions.c.created_position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(versions.c.created_position > after)
    if among is not None:
        query = query.where(versions.c.project_id.in_(among))
    return _versions(connection, versions, query, None)


def _sorted(versions: FromClause, query: Select[Any], sort: str, after: str | None) -> Select[Any]:
    """Keyset pagination: all rows after the row `after` in the order of `sort`.

    The best versions come first by their indicator; among equal ones, by their validation loss.
    Most training images come first, and the lowest loss.
    """
    position = versions.c.created_position
    best = func.coalesce(versions.c.indicator, -1.0)
    loss = func.coalesce(versions.c.validation_loss, math.inf)
    orders: dict[str, list[tuple[ColumnElement[Any], bool]]] = {
        NEWEST: [(position, True)],
        OLDEST: [(position, False)],
        BEST: [(best, True), (loss, False), (position, True)],
        NAME: [(versions.c.name, False), (position, True)],
        STATUS: [(versions.c.status, False), (position, True)],
        ARCHITECTURE: [(versions.c.architecture, False), (position, True)],
        IMAGES: [(func.coalesce(versions.c.train_images, -1), True), (position, True)],
        LOSS: [(loss, False), (position, True)],
    }
    is_reversed = sort.startswith("-")
    order = [(key, descending != is_reversed) for key, descending in orders[sort.removeprefix("-")]]
    query = query.order_by(*(key.desc() if descending else key for key, descending in order))
    if after is None:
        return query
    last = select(*(key for key, _ in order)).where(versions.c.version_id == after).subquery()
    seen = [select(column).scalar_subquery() for column in last.c]
    beyond = [
        key < value if descending else key > value
        for (key, descending), value in zip(order, seen, strict=True)
    ]
    equal = [key == value for (key, _), value in zip(order, seen, strict=True)]
    return query.where(
        or_(*(and_(*equal[:place], further) for place, further in enumerate(beyond)))
    )


_DERIVED = {"comparable", "trainer", "adopted"}
_STORED = [name for name in VersionRow.__struct_fields__ if name not in _DERIVED]
_AS_JSON = ("options", "concepts", "images_per_concept")
_OPTIONS, _CONCEPTS, _PER_CONCEPT = map(_STORED.index, _AS_JSON)
_VIEW, _VALIDATION_SET = _STORED.index("view_id"), _STORED.index("validation_set")
_COMPARABLE = VersionRow.__struct_fields__.index("comparable")


class _OwnTrainer(msgspec.Struct):
    trainer: TrainerUse | None = None
    adopted: bool = False


_decode_own_trainer = msgspec.json.Decoder(_OwnTrainer).decode
_decode_options = msgspec.json.Decoder(TrainingOptions).decode
_decode_concepts = msgspec.json.Decoder(list[ConceptLabel]).decode
_decode_per_concept = msgspec.json.Decoder(dict[str, int]).decode


def _versions(
    connection: Connection, source: FromClause, query: Select[Any], as_of: int | None
) -> list[VersionRow]:
    """The versions that a query selects from `source`.

    JSON comes as text: to read it straight into structs takes a fifth of the time. Many versions
    have the same.
    """
    columns = [
        cast(source.c[name], Text).label(name) if name in _AS_JSON else source.c[name]
        for name in _STORED
    ]
    rows = execute_at(connection, query.with_only_columns(*columns), as_of).all()
    newest = validation_sets_of(connection, {row[_VIEW] for row in rows}, as_of)
    read_options, read_concepts = cache(_options), cache(_decode_concepts)
    versions = []
    for row in rows:
        values = list(row)
        values[_OPTIONS], own_trainer = read_options(row[_OPTIONS])
        # A list of its own for each row: the next reader may change it.
        values[_CONCEPTS] = list(read_concepts(row[_CONCEPTS]))
        if row[_PER_CONCEPT] is not None:
            values[_PER_CONCEPT] = _decode_per_concept(row[_PER_CONCEPT])
        own = row[_VALIDATION_SET]
        values.insert(_COMPARABLE, None if own is None else own == newest.get(row[_VIEW]))
        values += [own_trainer.trainer, own_trainer.adopted]
        versions.append(VersionRow(*values))
    return versions


def _options(text: str) -> tuple[TrainingOptions, _OwnTrainer]:
    own = _decode_own_trainer(text)
    if own.trainer is not None:
        return not_built_in(own.trainer.name), own
    return _decode_options(text), own


def validation_sets_of(
    connection: Connection, view_ids: set[str], as_of: int | None
) -> dict[str, str]:
    """The last frozen validation set of each view."""
    ids = _table_of(view_ids, "view_id")
    newest = (
        select(validation_sets.c.validation_set)
        .where(validation_sets.c.view_id == ids.c.view_id)
        .order_by(validation_sets.c.position.desc())
        .limit(1)
    )
    if as_of is not None:
        newest = newest.where(validation_sets.c.position <= as_of)
    last = newest.lateral()
    query = select(ids.c.view_id, last.c.validation_set).select_from(ids.join(last, true()))
    return {row.view_id: row.validation_set for row in connection.execute(query)}
