"""The warnings about a version, from what the read models have of it."""

from domain.training.warnings import warnings_of
from projections.training.library_queries import VersionRow
from projections.training.version_progress import ProgressRow


def warnings_about(version: VersionRow, progress: ProgressRow | None) -> list[str]:
    return warnings_of(
        version.options,
        version.concepts,
        version.images_per_concept,
        progress.iterations if progress else None,
    )
