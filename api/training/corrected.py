"""How many labels were corrected between a version's dataset and the one before."""

from sqlalchemy import Connection

from api.training.schemas import CorrectedSince
from projections.flip_book.suspects import count_corrected
from projections.training.library_queries import VersionRow, find_previous


def corrected_since(
    connection: Connection, version: VersionRow, *, as_of: int | None = None
) -> CorrectedSince | None:
    """What was corrected since the previous version; None if there is none."""
    previous = find_previous(connection, version, as_of=as_of)
    if previous is None:
        return None
    images = count_corrected(
        connection, version.view_id, previous.log_position, version.log_position
    )
    return CorrectedSince(previous.version_id, previous.number, previous.name, images)
