"""The Models Library: a view's models with their lineage, and each model's versions."""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Update,
    bindparam,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.aggregates import MODEL, VERSION
from domain.event import Recorded
from domain.library.model import (
    ConceptSetAmended,
    ModelArchived,
    ModelCreated,
    ModelForked,
    ModelRenamed,
    ModelReopened,
    VersionNumbered,
)
from domain.training.adoption import VersionAdopted
from domain.training.results import VersionResultMeasured
from domain.training.version import (
    CANCELLED,
    EVALUATING,
    FAILED,
    PREPARING,
    QUEUED,
    READY,
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
from projections.engine.history import SINCE, History, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

models = Table(
    "models_library_v5_models",
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
    valid_from_column(),
    Index("models_library_v5_models_by_view", "view_id", "created_position"),
)
versions = Table(
    "models_library_v5_versions",
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
    Column("experiment_id", Text),
    Column("trial", Integer),
    Column("manifest", Text),
    Column("train_images", Integer),
    Column("validation_images", Integer),
    Column("validation_set", Text),
    Column("images_per_concept", JSONB(none_as_null=True)),
    Column("indicator", Float),
    Column("validation_loss", Float),
    Column("checkpoint", Text),
    Column("checkpoint_bytes", BigInteger),
    Column("final_weights", Text),
    Column("attempt", Integer, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False),
    valid_from_column(),
    Index("models_library_v5_versions_by_model", "model_id", "number", "created_position"),
    Index("models_library_v5_versions_by_view", "view_id", "created_position"),
    Index("models_library_v5_versions_by_checkpoint", "checkpoint"),
)

validation_sets = Table(
    "models_library_v5_validation_sets",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("validation_set", Text, nullable=False),
)
"""The validation set of each of a view's versions, by the position at which it was frozen."""

MODELS = History(
    models, "name", "concepts", "archived", "versions", "revision", born="created_position"
)
VERSIONS = History(
    versions,
    "name",
    "status",
    "reason",
    "progress",
    "manifest",
    "train_images",
    "validation_images",
    "validation_set",
    "images_per_concept",
    "indicator",
    "validation_loss",
    "checkpoint",
    "checkpoint_bytes",
    "final_weights",
    "attempt",
    "archived",
    "ended_at",
    "revision",
    born="created_position",
)

_model = models.c.model_id == bindparam("key")
_version = versions.c.version_id == bindparam("key")
_to: BindParameter[int] = bindparam("to", type_=BigInteger)

_add_model = insert(models)
_amend = MODELS.change(_model, concepts=bindparam("set"), revision=_to)
_rename_model = MODELS.change(_model, name=bindparam("new_name"), revision=_to)
_archive_model = MODELS.change(_model, archived=bindparam("flag"), revision=_to)
_number = MODELS.change(_model, versions=bindparam("count"), revision=_to)
_add_version = insert(versions)
_revise = VERSIONS.change(_version, revision=_to)
_rename = VERSIONS.change(_version, name=bindparam("new_name"), revision=_to)
_archive = VERSIONS.change(_version, archived=True, revision=_to)
_freeze = VERSIONS.change(
    _version,
    manifest=bindparam("digest"),
    train_images=bindparam("train"),
    validation_images=bindparam("held_out"),
    validation_set=bindparam("same"),
    images_per_concept=bindparam("images", type_=JSONB),
    revision=_to,
)
_validate = insert(validation_sets).from_select(
    ["view_id", "position", "validation_set"],
    select(versions.c.view_id, SINCE, bindparam("same", type_=Text)).where(_version),
)
_prepare = VERSIONS.change(
    _version, status=PREPARING, progress=0.0, ended_at=None, reason=None, revision=_to
)
_advance = VERSIONS.change(_version, progress=bindparam("done"), revision=_to)
_step_status = VERSIONS.change(
    _version, status=bindparam("now"), progress=bindparam("done"), revision=_to
)
_best = VERSIONS.change(
    _version,
    indicator=bindparam("value"),
    validation_loss=bindparam("loss", type_=Float),
    checkpoint=bindparam("digest"),
    checkpoint_bytes=bindparam("size"),
    revision=_to,
)
_measure = VERSIONS.change(
    _version,
    indicator=bindparam("value", type_=Float),
    validation_loss=bindparam("loss", type_=Float),
    revision=_to,
)
_adopt = VERSIONS.change(
    _version,
    status=READY,
    progress=1.0,
    ended_at=bindparam("end"),
    checkpoint=bindparam("digest"),
    checkpoint_bytes=bindparam("size"),
    revision=_to,
)
_complete = VERSIONS.change(
    _version,
    status=bindparam("now"),
    progress=1.0,
    ended_at=bindparam("end"),
    reason=None,
    final_weights=bindparam("digest"),
    revision=_to,
)
_fail = VERSIONS.change(
    _version, status=FAILED, ended_at=bindparam("end"), reason=bindparam("why"), revision=_to
)
_cancel = VERSIONS.change(
    _version,
    status=CANCELLED,
    ended_at=bindparam("end"),
    reason=None,
    indicator=None,
    validation_loss=None,
    checkpoint=None,
    checkpoint_bytes=None,
    revision=_to,
)
_retry = VERSIONS.change(
    _version,
    status=QUEUED,
    progress=0.0,
    ended_at=None,
    reason=None,
    attempt=bindparam("count"),
    revision=_to,
)


def project(recorded: Recorded) -> Iterator[Write]:
    if recorded.kind == MODEL.kind:
        yield from _project_model(recorded)
    elif isinstance(recorded.event, VersionCreated):
        yield Write(_add_version, _version_row(recorded, recorded.event))
    elif recorded.kind == VERSION.kind:
        statement, values = _change(recorded)
        yield Write(statement, _own(recorded) | values)
        if isinstance(recorded.event, DatasetFrozen) and recorded.event.validation_set is not None:
            same = {"same": recorded.event.validation_set}
            yield Write(_validate, _own(recorded) | same)


def _own(recorded: Recorded) -> dict[str, Any]:
    return {
        "key": recorded.entity_id,
        "to": recorded.originator_version,
        "since": recorded.position,
    }


def _project_model(recorded: Recorded) -> Iterator[Write]:
    own = _own(recorded)
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
        "valid_from": recorded.position,
    }


def _change(recorded: Recorded) -> tuple[Update, dict[str, Any]]:
    """The change of a version by an event: at least its revision changes."""
    at = recorded.metadata.occurred_at
    match recorded.event:
        case DatasetFrozen() as frozen:
            return _freeze, {
                "digest": frozen.manifest,
                "train": frozen.train_images,
                "held_out": frozen.validation_images,
                "same": frozen.validation_set,
                "images": frozen.images_per_concept,
            }
        case VersionTrainingStarted():
            return _prepare, {}
        case TrainingStepAdvanced() as advanced:
            done = progress_of(advanced)
            if advanced.step in {TRAINING, EVALUATING}:
                return _step_status, {"now": advanced.step, "done": done}
            return _advance, {"done": done}
        case BestCheckpointSaved() as best:
            return _best, {
                "value": best.value,
                "loss": best.validation_loss,
                "digest": best.checkpoint,
                "size": best.bytes,
            }
        case VersionResultMeasured(validation=measured):
            value = measured.mean_average_precision
            value = measured.accuracy if value is None else value
            return _measure, {"value": value, "loss": measured.loss}
        case VersionTrainingCompleted() as completed:
            ended = {"now": status_at_end(completed), "end": at}
            return _complete, ended | {"digest": completed.final_weights}
        case VersionAdopted() as adopted:
            files = {"digest": adopted.checkpoint, "size": adopted.bytes}
            return _adopt, files | {"end": at}
        case VersionTrainingFailed(reason=reason):
            return _fail, {"end": at, "why": reason}
        case VersionTrainingCancelled():
            return _cancel, {"end": at}
        case VersionRetried(attempt=attempt):
            return _retry, {"count": attempt}
        case VersionRenamed(name=name):
            return _rename, {"new_name": name}
        case VersionArchived():
            return _archive, {}
    return _revise, {}


def _name(created: VersionCreated) -> str:
    return created.trainer.name if created.trainer else ""


def _made_by(created: VersionCreated) -> dict[str, Any]:
    """What stands in place of the options of the built-in training."""
    adopted = {} if created.adopted is None else {"adopted": True}
    return {"trainer": created.trainer, **adopted}


def _version_row(recorded: Recorded, created: VersionCreated) -> dict[str, Any]:
    return {
        "version_id": recorded.entity_id,
        "model_id": created.model_id,
        "view_id": created.view_id,
        "project_id": created.project_id,
        "number": created.number,
        "name": created.name,
        "status": QUEUED if created.adopted is None else EVALUATING,
        "reason": None,
        "progress": 0.0,
        "architecture": created.options.architecture if created.options else _name(created),
        "options": msgspec.to_builtins(created.options or _made_by(created)),
        "concepts": msgspec.to_builtins(created.concepts),
        "log_position": created.log_position,
        "experiment_id": created.experiment_id,
        "trial": created.trial,
        "manifest": None,
        "train_images": None,
        "validation_images": None,
        "validation_set": None,
        "images_per_concept": None,
        "indicator": None,
        "validation_loss": None,
        "checkpoint": None,
        "checkpoint_bytes": None,
        "final_weights": None,
        "attempt": 1,
        "archived": False,
        "created_at": recorded.metadata.occurred_at,
        "created_position": recorded.position,
        "ended_at": None,
        "revision": recorded.originator_version,
        "valid_from": recorded.position,
    }


MODELS_LIBRARY = ReadModel(
    "models_library_v5", metadata, event_by_event(project), ("model.", "version.")
)
