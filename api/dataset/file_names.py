"""File names in the reasons of failures, in which the log has ids: names can be erased."""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from api.backend import Backend
from projections.dataset.dataset import DATASET
from projections.dataset.queries import file_names
from projections.experiments.queries import TrialRow
from projections.training.library_queries import LibraryRow, VersionRow
from projections.training.test_evaluations import EvaluationOnTestSet
from projections.training.version_progress import ProgressRow

_IMAGE = re.compile(r"\bimage ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?::\d+)?\b")


Row = TypeVar("Row", VersionRow, ProgressRow, TrialRow, EvaluationOnTestSet)


def with_file_names(backend: Backend, rows: Sequence[Row], field: str = "reason") -> list[Row]:
    """The rows, with the file name before each image id in the reasons of this field."""
    ids = {key for row in rows for key in _IMAGE.findall(getattr(row, field) or "")}
    if not ids:
        return list(rows)
    with backend.reading(None, DATASET) as (connection, _):
        names = file_names(connection, ids)

    def named(match: re.Match[str]) -> str:
        name = names.get(match[1])
        return match[0] if name is None else f"{name} ({match[0]})"

    return [
        msgspec.structs.replace(row, **{field: _IMAGE.sub(named, text)})
        if (text := getattr(row, field))
        else row
        for row in rows
    ]


def named_in_library(backend: Backend, models: Sequence[LibraryRow]) -> list[LibraryRow]:
    """The same for the versions of models."""
    return [
        msgspec.structs.replace(model, versions=with_file_names(backend, model.versions))
        for model in models
    ]
