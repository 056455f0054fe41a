"""Routes of the system itself: the positions and heartbeats of its parts."""

from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from litestar import Controller, get
from litestar.params import FromQuery

from adapters.health.heartbeats import ServiceHeartbeat, latest_heartbeats
from api.access.rights import ACCOUNT, needs
from api.http.api_version import API_VERSION
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
    """The positions of the log and its read models. `lag` counts positions.

    `building` are read models that are now built beside the live ones, to replace or to compare.
    `parts` are the latest heartbeats of the backend's services, by process.
    """

    head: int
    read_models: list[ReadModelStatus]
    building: list[ReadModelStatus]
    parts: list[ServiceHeartbeat]
    now: datetime
    events: int | None


class About(msgspec.Struct, frozen=True):
    """The versions of the server and of its API."""

    version: str
    api_version: str


class SystemController(Controller):
    """The system."""

    tags = ("System",)

    @get("/about", summary="The server's version", sync_to_thread=False, opt=ACCOUNT)
    def get_about(self) -> About:
        """Every answer also has the API's version in the header `Stemma-API-Version`."""
        return About(version("stemma"), API_VERSION)

    @get(
        "/status",
        summary="Positions and lag",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_status(self, backend: Served, count: FromQuery[bool] = False) -> Status:
        """With `count` the answer also has the number of events, which takes time for a long
        log."""
        with backend.engine.connect() as connection:
            positions = list(positions_of(connection, READ_MODELS))
            signs = latest_heartbeats(connection)
        building = running_builds(backend.engine)
        head = backend.store.head()
        return Status(
            head,
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in positions],
            [ReadModelStatus(name, at, max(head - at, 0)) for name, at in building],
            signs,
            datetime.now(UTC),
            backend.store.count() if count else None,
        )
