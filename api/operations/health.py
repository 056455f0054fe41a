"""Liveness, readiness, and the health of each part.

The routes are open to all: answers contain only the names of parts and texts written here.
"""

from litestar import Controller, Response, get

from adapters.health.conditions import WELL, Alive, Health, PartHealth, all_in_all
from adapters.health.heartbeats import SILENT_SECONDS, Sign
from adapters.health.overview import Look
from adapters.services import SERVICES
from api.access.rights import OPEN
from api.http.parameters import Served
from projections.engine.failing import Failing

FAR_BEHIND = 10_000
STILL_SECONDS = 60.0
FAILED_LATELY_SECONDS = 30.0


class HealthController(Controller):
    """Health."""

    path = "/health"
    tags = ("System",)
    opt = OPEN

    @get("/live", summary="Whether the process answers", sync_to_thread=False)
    def get_live(self) -> Alive:
        """Checks no dependency: restart the process if this does not answer."""
        return Alive()

    @get("/ready", summary="Whether the server can serve, and how each part is")
    async def get_ready(self, backend: Served) -> Response[Health]:
        """200 while commands and queries are served, `degraded` included; 503 if the database does
        not answer or lacks a read model. Parts are checked at most once a second."""
        health = health_of(await backend.overview.look())
        return Response(health, status_code=503 if health.status == "failed" else 200)


def health_of(look: Look) -> Health:
    """The health of each part and of the server."""
    parts = _of_database(look) | _of_backend(look)
    parts["nats"] = WELL if look.crew else PartHealth("degraded", "NATS does not answer")
    parts["blobs"] = WELL if look.blobs else PartHealth("degraded", "the store does not answer")
    parts["workers"] = _of_workers(look)
    return all_in_all(parts)


def _of_database(look: Look) -> dict[str, PartHealth]:
    database = look.database
    if database is None:
        return {"database": PartHealth("failed", "PostgreSQL does not answer, or lacks our tables")}
    missing = PartHealth("failed", "not built in this database; run `stemma migrate`")
    return (
        {"database": WELL}
        | dict.fromkeys(database.not_built, missing)
        | {model.part: _moving(look, model.part) for model in database.read_models}
        | {failing.read_model: _failing(look, failing) for failing in database.failing}
    )


def _moving(look: Look, part: str) -> PartHealth:
    """Whether a part keeps up, by its position."""
    behind = _behind(look, part)
    if look.still.get(part, 0) > STILL_SECONDS:
        still = f"has not moved for {look.still[part]:.0f} s, and is {behind} behind"
        return PartHealth("degraded", still)
    if behind > FAR_BEHIND:
        return PartHealth("degraded", f"is {behind} behind")
    return WELL


def _failing(look: Look, failing: Failing) -> PartHealth:
    return PartHealth(
        "degraded",
        f"has failed {failing.failures} times in a row, for {failing.seconds:.0f} s, and is"
        f" {_behind(look, failing.read_model)} behind; it is tried again, and `stemma status` says"
        " why",
    )


def _behind(look: Look, part: str) -> int:
    return sum(standing.behind for standing in look.standings if standing.part == part)


def _of_backend(look: Look) -> dict[str, PartHealth]:
    """The services by their heartbeats; empty while the database does not answer."""
    if look.database is None:
        return {}
    latest: dict[str, Sign] = {}
    for sign in look.database.signs:
        latest.setdefault(sign.part, sign)
    return {part: _part(look, part, latest.get(part)) for part in SERVICES}


def _part(look: Look, part: str, sign: Sign | None) -> PartHealth:
    if sign is None:
        return PartHealth("degraded", "is not running")
    if sign.silent > SILENT_SECONDS:
        return PartHealth("degraded", f"has given no sign of life for {sign.silent:.0f} s")
    if sign.failed_ago is not None and sign.failed_ago < FAILED_LATELY_SECONDS:
        failed = f"failed {sign.failed_ago:.0f} s ago, {sign.failures} times in all, and goes on"
        return PartHealth("degraded", f"{failed}; `stemma status` says why")
    halves = ["policies", "control"] if part == "policies" else [part]
    healths = [_moving(look, half) for half in halves]
    return next((health for health in healths if health != WELL), WELL)


def _of_workers(look: Look) -> PartHealth:
    if look.crew is None:
        return PartHealth("degraded", "unknown while NATS does not answer")
    if not look.crew.workers:
        return PartHealth("ok", "none is there: trainings wait")
    return PartHealth("ok", f"{len(look.crew.workers)} there")
