"""Routes about the system itself: how far its parts are, and whether it is well."""

from datetime import UTC, datetime

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery

from adapters.health.heartbeats import Sign, latest_heartbeats
from api.access.rights import needs
from api.http.parameters import Served
from domain.access.roles import Right
from projections.engine.follow import positions_of
from projections.engine.scratch import running_builds
from projections.registry import READ_MODELS


class ReadModelStatus(msgspec.Struct, frozen=True):
    name: str
    position: int
    lag: int


class Status(msgspec.Struct, frozen=True):
    """How far the log and its read models are. `lag` counts positions.

    `building` are read models that are built beside the live ones now, to replace or to compare.
    `parts` are the signs of life of the backend's parts, the latest of each process.
    """

    head: int
    read_models: list[ReadModelStatus]
    building: list[ReadModelStatus]
    parts: list[Sign]
    now: datetime
    events: int | None


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
        with backend.engine.connect() as connection:
            found = list(positions_of(connection, READ_MODELS))
            signs = latest_heartbeats(connection)
        building = running_builds(backend.engine)
        head = backend.store.head()
        return Status(
            head,
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in found],
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in building],
            signs,
            datetime.now(UTC),
            backend.store.count() if count else None,
        )
