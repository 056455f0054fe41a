"""Which versions a list has, and at which revisions: for those who have read these before.

All that is known of a version follows from its own events, so a revision of it never changes; but
whether it is `comparable` depends on others of its view.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    Text,
    bindparam,
    or_,
    select,
    true,
)

from projections.engine.history import execute_at
from projections.engine.read_model import Write
from projections.training.library_queries import (
    NEWEST,
    ModelRow,
    VersionFilter,
    list_models,
    matching,
    newest_of_each,
    validation_sets_of,
)
from projections.training.models_library import models, validation_sets, versions

_END = 2**63 - 1


class VersionRevision(NamedTuple):
    """A version in a list, without what its revision stands for."""

    version_id: str
    revision: int
    comparable: bool | None


Listed = list[tuple[ModelRow, list[VersionRevision]]]
"""Models with the revisions of the versions listed under each."""

Rows = Sequence[tuple[Any, ...]]


def revisions_in(listed: Listed) -> list[VersionRevision]:
    return [version for _, own in listed for version in own]


_view = bindparam("view", type_=Text)
_archived = bindparam("archived", type_=Boolean)
_MODELS = (
    select(*(models.c[name] for name in ModelRow.__struct_fields__))
    .where(
        models.c.view_id == _view,
        models.c.created_position < bindparam("before", type_=BigInteger),
        or_(_archived, ~models.c.archived),
    )
    .order_by(models.c.created_position.desc())
    .limit(bindparam("limit", type_=Integer))
)
_listed = _MODELS.with_only_columns(models.c.model_id).subquery("listed")
_newest = (
    select(versions.c.version_id, versions.c.number, versions.c.revision, versions.c.validation_set)
    .where(versions.c.model_id == _listed.c.model_id, or_(_archived, ~versions.c.archived))
    .order_by(versions.c.number.desc())
    .limit(bindparam("each", type_=Integer))
    .lateral("newest")
)
_VERSIONS = (
    select(_listed.c.model_id, _newest.c.version_id, _newest.c.revision, _newest.c.validation_set)
    .select_from(_listed.join(_newest, true()))
    .order_by(_listed.c.model_id, _newest.c.number.desc())
)
_VALIDATION_SET = (
    select(validation_sets.c.validation_set)
    .where(validation_sets.c.view_id == _view)
    .order_by(validation_sets.c.position.desc())
    .limit(1)
)


class LibraryPage(msgspec.Struct, frozen=True):
    """What `library` lists of a view."""

    view_id: str
    before: int | None = None
    limit: int = 20
    versions_each: int = 50
    archived: bool = False

    def queries(self) -> list[Write]:
        """The queries of the page as it is now, from whose rows it is `listed`."""
        chosen = {
            "view": self.view_id,
            "before": _END if self.before is None else self.before,
            "archived": self.archived,
            "limit": self.limit,
        }
        return [
            Write(_MODELS, chosen),
            Write(_VERSIONS, {**chosen, "each": self.versions_each}),
            Write(_VALIDATION_SET, {"view": self.view_id}),
        ]

    def listed(self, rows: Sequence[Rows]) -> Listed:
        of_models, of_versions, of_set = rows
        newest = of_set[0][0] if of_set else None
        by_model: dict[str, list[VersionRevision]] = {}
        for model_id, version_id, revision, own in of_versions:
            comparable = None if own is None else own == newest
            by_model.setdefault(model_id, []).append(
                VersionRevision(version_id, revision, comparable)
            )
        found = [ModelRow(*row) for row in of_models]
        return [(model, by_model.get(model.model_id, [])) for model in found]

    def read(self, connection: Connection, as_of: int | None) -> Listed:
        """The page, as of a position of the log."""
        found = list_models(
            connection,
            self.view_id,
            before=self.before,
            limit=self.limit,
            archived=self.archived,
            as_of=as_of,
        )
        ids = [model.model_id for model in found]
        source, query = newest_of_each(ids, self.versions_each, self.archived, True, as_of)
        columns = source.c.model_id, source.c.version_id, source.c.revision
        narrow = query.with_only_columns(*columns, source.c.validation_set)
        rows = execute_at(connection, narrow, as_of).all()
        newest = validation_sets_of(connection, {self.view_id}, as_of).get(self.view_id)
        return self.listed([_values(found), rows, [] if newest is None else [(newest,)]])


def _values(found: Iterable[ModelRow]) -> list[tuple[Any, ...]]:
    return [msgspec.structs.astuple(model) for model in found]


def list_revisions(
    connection: Connection,
    filters: VersionFilter,
    *,
    sort: str = NEWEST,
    after: str | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[VersionRevision]:
    """The revisions of what `list_versions` lists."""
    source, query = matching(filters, sort, after, limit, as_of)
    columns = source.c.version_id, source.c.revision, source.c.view_id, source.c.validation_set
    rows = execute_at(connection, query.with_only_columns(*columns), as_of).all()
    newest = validation_sets_of(connection, {row.view_id for row in rows}, as_of)
    return [
        VersionRevision(version_id, revision, None if own is None else own == newest.get(view_id))
        for version_id, revision, view_id, own in map(tuple, rows)
    ]
