"""Imports: the request, its actor, and the result."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.dataset.imports import (
    CHECKED,
    COMPLETED,
    FAILED,
    REFUSED,
    REQUESTED,
    ImportChecked,
    ImportCompleted,
    ImportCounts,
    ImportFailed,
    ImportProblem,
    ImportRefused,
    ImportRemark,
    ImportRequested,
    ImportRules,
)
from domain.event import Recorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

imports = Table(
    "imports_v2",
    metadata,
    Column("import_id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("on_server", Boolean, nullable=False),
    Column("view", Text),
    Column("rules", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("format", Text),
    Column("counts", JSONB),
    Column("reason", Text),
    Column("problems", BigInteger, nullable=False),
    Column("first", JSONB, nullable=False),
    Column("report", Text),
    Column("summary", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("requested_position", BigInteger, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False),
    Index("imports_v2_by_project", "project_id", "requested_position"),
)

_add = insert(imports)
_end = (
    update(imports)
    .where(imports.c.import_id == bindparam("key"))
    .values(
        status=bindparam("to_status"),
        format=bindparam("to_format"),
        counts=bindparam("to_counts", type_=JSONB(none_as_null=True)),
        reason=bindparam("to_reason"),
        problems=bindparam("to_problems"),
        first=bindparam("to_first", type_=JSONB),
        report=bindparam("to_report"),
        summary=bindparam("to_summary", type_=JSONB),
        ended_at=bindparam("at"),
        revision=bindparam("to"),
    )
)


def project(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case ImportRequested() as requested:
            yield Write(_add, _row(recorded, requested))
        case ImportCompleted() | ImportChecked() as ended:
            status = COMPLETED if isinstance(ended, ImportCompleted) else CHECKED
            yield Write(
                _end,
                _ending(
                    recorded,
                    status,
                    format=ended.format,
                    counts=msgspec.to_builtins(ended.counts),
                    problems=ended.counts.skipped,
                    report=ended.report,
                    summary=msgspec.to_builtins(ended.summary),
                ),
            )
        case ImportRefused() as refused:
            yield Write(
                _end,
                _ending(
                    recorded,
                    REFUSED,
                    reason=refused.reason,
                    problems=refused.problems,
                    first=msgspec.to_builtins(refused.first),
                    report=refused.report,
                ),
            )
        case ImportFailed() as failed:
            yield Write(_end, _ending(recorded, FAILED, reason=failed.reason))


def _row(recorded: Recorded, requested: ImportRequested) -> dict[str, Any]:
    return {
        "import_id": recorded.entity_id,
        "project_id": requested.project_id,
        "source": requested.source,
        "on_server": requested.on_server,
        "view": requested.view,
        "rules": msgspec.to_builtins(requested.rules),
        "status": REQUESTED,
        "format": None,
        "counts": None,
        "reason": None,
        "problems": 0,
        "first": [],
        "report": None,
        "summary": [],
        "actor": recorded.metadata.actor,
        "requested_at": recorded.metadata.occurred_at,
        "requested_position": recorded.position,
        "ended_at": None,
        "revision": recorded.originator_version,
    }


def _ending(recorded: Recorded, status: str, **values: Any) -> dict[str, Any]:
    ended: dict[str, Any] = {
        "format": None,
        "counts": None,
        "reason": None,
        "problems": 0,
        "first": [],
        "report": None,
        "summary": [],
    } | values
    return {
        "key": recorded.entity_id,
        "to_status": status,
        "at": recorded.metadata.occurred_at,
        "to": recorded.originator_version,
    } | {f"to_{name}": value for name, value in ended.items()}


IMPORTS = ReadModel("imports_v2", metadata, event_by_event(project), ("import.",))


class ImportRow(msgspec.Struct, frozen=True):
    """An import in a list; `first` are the first of its `problems`, if it was refused.

    `status` is requested, completed, checked (a dry run), refused (because of the source's content)
    or failed (for another reason). `report` is the sha256 of the list of all problems, images left
    out and notes; `summary` counts all but the problems by their text.
    """

    import_id: str
    project_id: str
    source: str
    on_server: bool
    view: str | None
    rules: ImportRules
    status: str
    format: str | None
    counts: ImportCounts | None
    reason: str | None
    problems: int
    first: list[ImportProblem]
    report: str | None
    summary: list[ImportRemark]
    actor: str
    requested_at: datetime
    requested_position: int
    ended_at: datetime | None
    revision: int


def list_imports(
    connection: Connection,
    project_id: str,
    *,
    status: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[ImportRow]:
    """A project's imports, newest first, all or those with a status; `before` is the
    `requested_position` of the last one seen."""
    query = (
        select(imports)
        .where(imports.c.project_id == project_id)
        .order_by(imports.c.requested_position.desc())
        .limit(limit)
    )
    if status is not None:
        query = query.where(imports.c.status == status)
    if before is not None:
        query = query.where(imports.c.requested_position < before)
    return [_import(row._mapping) for row in connection.execute(query)]


def find_import(connection: Connection, import_id: str) -> ImportRow | None:
    row = connection.execute(select(imports).where(imports.c.import_id == import_id)).first()
    return None if row is None else _import(row._mapping)


def _import(row: Any) -> ImportRow:
    return msgspec.convert({str(name): row[name] for name in row}, ImportRow)
