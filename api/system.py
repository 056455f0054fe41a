"""Routes about the system itself: how far its parts are, and whether it is well."""

from datetime import UTC, datetime

from litestar import Controller, get
from litestar.params import FromQuery

from adapters.heartbeats import signs_of_life
from api.parameters import Served
from api.rights import needs
from api.schemas import ReadModelStatus, Status
from domain.roles import Right
from projections.follow import positions_of
from projections.registry import READ_MODELS
from projections.scratch import under_way


class SystemController(Controller):
    """The system."""

    tags = ("System",)

    @get(
        "/status",
        summary="Positions and lag",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_status(self, backend: Served, count: FromQuery[bool] = False) -> Status:
        """`count` asks for the number of events too, which takes time on a long log."""
        with backend.reading() as (connection, _):
            found = list(positions_of(connection, READ_MODELS))
            signs = signs_of_life(connection)
        building = under_way(backend.engine)
        head = backend.store.head()
        return Status(
            head,
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in found],
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in building],
            signs,
            datetime.now(UTC),
            backend.store.count() if count else None,
        )
