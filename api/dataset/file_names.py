"""File names in the reasons of failures, in which the log has ids: names can be erased."""

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from api.backend import Backend
from api.encoded_versions import encode
from projections.dataset.dataset import DATASET
from projections.dataset.queries import file_names
from projections.experiments.queries import TrialRow
from projections.training.library_queries import VersionRow
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


def encoded_with_file_names(
    backend: Backend, versions: Sequence[bytes | VersionRow]
) -> Iterator[bytes]:
    """Versions as JSON, those given as rows with the file names in their reasons."""
    rows = [version for version in versions if isinstance(version, VersionRow)]
    named = iter(with_file_names(backend, rows))
    for version in versions:
        yield version if isinstance(version, bytes) else encode(next(named))


def names_images(row: VersionRow) -> bool:
    """Whether `with_file_names` may change a version."""
    return _IMAGE.search(row.reason or "") is not None
