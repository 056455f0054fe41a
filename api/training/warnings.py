"""The warnings about a version, from what the read models have of it."""

from sqlalchemy import Connection

from domain.training.warnings import warnings_of
from projections.training.evaluations import find_evaluation, find_refusals
from projections.training.library_queries import VersionRow
from projections.training.version_progress import ProgressRow


def warnings_about(
    connection: Connection,
    version: VersionRow,
    progress: ProgressRow | None,
    *,
    as_of: int | None = None,
) -> list[str]:
    """What will keep it from learning well, and what its worker reported wrongly."""
    built_in = version.trainer is None
    warnings = warnings_of(
        version.options,
        version.concepts,
        version.images_per_concept,
        progress.iterations if progress and built_in else None,
    )
    return warnings + _wrong_reports(connection, version.version_id, as_of)


def _wrong_reports(connection: Connection, version_id: str, as_of: int | None) -> list[str]:
    found = []
    refusals = find_refusals(connection, version_id, as_of=as_of)
    if refusals:
        first, count = refusals[0], len(refusals)
        what = first.report.replace("_", " ") or "unreadable"
        reports = "A report of its worker was" if count == 1 else f"{count} reports were"
        found.append(f"{reports} refused; the first ({what}): {first.reason}.")
    evaluation = find_evaluation(connection, version_id, as_of=as_of)
    for difference in (evaluation and evaluation.differences) or ():
        metric = difference.metric.replace("_", " ")
        found.append(
            f"Its worker reported {_figure(difference.reported)} as the {difference.split}"
            f" {metric}; the server measured {_figure(difference.measured)} in its predictions."
        )
    return found


def _figure(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
