"""Routes about the system itself: how far its parts are, and whether it is well."""

from datetime import UTC, datetime

from litestar import Controller, get

from api.parameters import Served
from api.schemas import ReadModelStatus, Status
from projections.follow import positions_of


class SystemController(Controller):
    """The system."""

    tags = ("System",)

    @get("/status", summary="Positions and lag", sync_to_thread=True)
    def get_status(self, backend: Served) -> Status:
        with backend.reading() as (connection, _):
            found = list(positions_of(connection))
        head = backend.store.head()
        return Status(
            head,
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in found],
            datetime.now(UTC),
        )
