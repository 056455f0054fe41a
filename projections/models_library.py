"""The Models Library: a view's models with their lineage, and each model's versions."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.event import Recorded
from domain.model import (
    ConceptSetAmended,
    ModelArchived,
    ModelCreated,
    ModelForked,
    ModelRenamed,
    ModelReopened,
    VersionNumbered,
)
from domain.version import (
    CANCELLED,
    EVALUATING,
    FAILED,
    PREPARING,
    QUEUED,
    TRAINING,
    BestCheckpointSaved,
    DatasetFrozen,
    TrainingStepAdvanced,
    VersionArchived,
    VersionCreated,
    VersionRenamed,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
    progress_of,
    status_at_end,
)
from projections.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

models = Table(
    "models_library_v2_models",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("view_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("parent", Text),
    Column("why", Text),
    Column("concepts", ARRAY(Text), nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("versions", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Index("models_library_v2_models_by_view", "view_id", "created_position"),
)
versions = Table(
    "models_library_v2_versions",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("progress", Float, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("options", JSONB, nullable=False),
    Column("concepts", JSONB, nullable=False),
    Column("log_position", BigInteger, nullable=False),
    Column("manifest", Text),
    Column("train_images", Integer),
    Column("validation_images", Integer),
    Column("validation_set", Text),
    Column("frozen_position", BigInteger),
    Column("indicator", Float),
    Column("checkpoint", Text),
    Column("checkpoint_bytes", BigInteger),
    Column("final_weights", Text),
    Column("attempt", Integer, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False),
    Index("models_library_v2_versions_by_model", "model_id", "number"),
    Index("models_library_v2_versions_by_view", "view_id", "created_position"),
    Index("models_library_v2_versions_by_checkpoint", "checkpoint"),
    Index("models_library_v2_versions_by_frozen", "view_id", "frozen_position"),
)

_model = models.c.model_id == bindparam("key")
_version = versions.c.version_id == bindparam("key")

_add_model = insert(models)
_amend = update(models).where(_model).values(concepts=bindparam("set"), revision=bindparam("to"))
_rename_model = (
    update(models).where(_model).values(name=bindparam("new_name"), revision=bindparam("to"))
)
_archive_model = (
    update(models).where(_model).values(archived=bindparam("flag"), revision=bindparam("to"))
)
_number = update(models).where(_model).values(versions=bindparam("count"), revision=bindparam("to"))
_add_version = insert(versions)
_revise = update(versions).where(_version).values(revision=bindparam("to"))
_rename = update(versions).where(_version).values(name=bindparam("new_name"))
_archive = update(versions).where(_version).values(archived=True)
_freeze = (
    update(versions)
    .where(_version)
    .values(
        manifest=bindparam("digest"),
        train_images=bindparam("train"),
        validation_images=bindparam("held_out"),
        validation_set=bindparam("same"),
        frozen_position=bindparam("at"),
    )
)
_status = (
    update(versions)
    .where(_version)
    .values(
        status=bindparam("now"),
        progress=bindparam("done"),
        ended_at=bindparam("end"),
        reason=bindparam("why"),
    )
)
_advance = update(versions).where(_version).values(progress=bindparam("done"))
_step_status = (
    update(versions).where(_version).values(status=bindparam("now"), progress=bindparam("done"))
)
_best = (
    update(versions)
    .where(_version)
    .values(
        indicator=bindparam("value"),
        checkpoint=bindparam("digest"),
        checkpoint_bytes=bindparam("size"),
    )
)
_weights = update(versions).where(_version).values(final_weights=bindparam("digest"))
_attempt = update(versions).where(_version).values(attempt=bindparam("count"))


def project(recorded: Recorded) -> Iterator[Write]:
    if recorded.stream.startswith("model-"):
        yield from _project_model(recorded)
    elif recorded.stream.startswith("version-"):
        yield from _project_version(recorded)
        if not isinstance(recorded.event, VersionCreated):
            yield Write(_revise, {"key": recorded.entity_id, "to": recorded.originator_version})


def _project_model(recorded: Recorded) -> Iterator[Write]:
    own = {"key": recorded.entity_id, "to": recorded.originator_version}
    match recorded.event:
        case ModelCreated() as created:
            yield Write(_add_model, _model_row(recorded, created, None, None))
        case ModelForked() as forked:
            row = _model_row(recorded, forked, forked.parent_model_id, forked.why)
            yield Write(_add_model, row)
        case ConceptSetAmended(concepts=concepts):
            yield Write(_amend, own | {"set": list(concepts)})
        case ModelRenamed(name=name):
            yield Write(_rename_model, own | {"new_name": name})
        case ModelArchived():
            yield Write(_archive_model, own | {"flag": True})
        case ModelReopened():
            yield Write(_archive_model, own | {"flag": False})
        case VersionNumbered(number=number):
            yield Write(_number, own | {"count": number})


def _model_row(
    recorded: Recorded, made: ModelCreated | ModelForked, parent: str | None, why: str | None
) -> dict[str, Any]:
    return {
        "model_id": recorded.entity_id,
        "view_id": made.view_id,
        "name": made.name,
        "parent": parent,
        "why": why,
        "concepts": list(made.concepts),
        "archived": False,
        "versions": 0,
        "created_at": recorded.metadata.occurred_at,
        "created_position": recorded.position,
        "revision": recorded.originator_version,
    }


def _project_version(recorded: Recorded) -> Iterator[Write]:
    key = recorded.entity_id
    at = recorded.metadata.occurred_at
    match recorded.event:
        case VersionCreated() as created:
            yield Write(_add_version, _version_row(recorded, created))
        case DatasetFrozen() as frozen:
            yield Write(
                _freeze,
                {
                    "key": key,
                    "digest": frozen.manifest,
                    "train": frozen.train_images,
                    "held_out": frozen.validation_images,
                    "same": frozen.validation_set,
                    "at": recorded.position,
                },
            )
        case VersionTrainingStarted():
            yield Write(_status, _to(key, PREPARING, 0.0))
        case TrainingStepAdvanced() as advanced:
            done = progress_of(advanced)
            if advanced.step in {TRAINING, EVALUATING}:
                yield Write(_step_status, {"key": key, "now": advanced.step, "done": done})
            else:
                yield Write(_advance, {"key": key, "done": done})
        case BestCheckpointSaved() as best:
            yield Write(
                _best,
                {"key": key, "value": best.value, "digest": best.checkpoint, "size": best.bytes},
            )
        case VersionTrainingCompleted() as completed:
            yield Write(_status, _to(key, status_at_end(completed), 1.0, at))
            yield Write(_weights, {"key": key, "digest": completed.final_weights})
        case VersionTrainingFailed(reason=reason):
            failed = {"key": key, "now": FAILED, "end": at, "why": reason}
            yield Write(_end, failed)
        case VersionTrainingCancelled():
            yield Write(_end, {"key": key, "now": CANCELLED, "end": at, "why": None})
            yield Write(_best, {"key": key, "value": None, "digest": None, "size": None})
        case VersionRetried(attempt=attempt):
            yield Write(_status, _to(key, QUEUED, 0.0))
            yield Write(_attempt, {"key": key, "count": attempt})
        case VersionRenamed(name=name):
            yield Write(_rename, {"key": key, "new_name": name})
        case VersionArchived():
            yield Write(_archive, {"key": key})


_end = (
    update(versions)
    .where(_version)
    .values(status=bindparam("now"), ended_at=bindparam("end"), reason=bindparam("why"))
)


def _to(key: str, status: str, done: float, end: datetime | None = None) -> dict[str, Any]:
    return {"key": key, "now": status, "done": done, "end": end, "why": None}


def _version_row(recorded: Recorded, created: VersionCreated) -> dict[str, Any]:
    return {
        "version_id": recorded.entity_id,
        "model_id": created.model_id,
        "view_id": created.view_id,
        "project_id": created.project_id,
        "number": created.number,
        "name": created.name,
        "status": QUEUED,
        "reason": None,
        "progress": 0.0,
        "architecture": created.options.architecture,
        "options": msgspec.to_builtins(created.options),
        "concepts": msgspec.to_builtins(created.concepts),
        "log_position": created.log_position,
        "manifest": None,
        "train_images": None,
        "validation_images": None,
        "validation_set": None,
        "frozen_position": None,
        "indicator": None,
        "checkpoint": None,
        "checkpoint_bytes": None,
        "final_weights": None,
        "attempt": 1,
        "archived": False,
        "created_at": recorded.metadata.occurred_at,
        "created_position": recorded.position,
        "ended_at": None,
        "revision": recorded.originator_version,
    }


MODELS_LIBRARY = ReadModel(
    "models_library_v2", metadata, event_by_event(project), ("model.", "version.")
)
