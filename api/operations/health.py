"""Liveness, readiness, and the health of each part.

The routes are open to all: answers contain only the names of parts and texts written here.
"""

from litestar import Controller, Response, get

from adapters.health.health import HEALTHY, Alive, Health, PartHealth, aggregate_health
from adapters.health.heartbeats import SILENT_SECONDS, ServiceHeartbeat
from adapters.health.overview import Snapshot
from adapters.services import SERVICES
from api.access.rights import OPEN
from api.http.parameters import Served
from projections.engine.failing import Failing

FAR_BEHIND = 10_000
STALLED_SECONDS = 60.0
FAILED_LATELY_SECONDS = 30.0


class HealthController(Controller):
    """Health."""

    path = "/health"
    tags = ("System",)
    opt = OPEN

    @get("/live", summary="Whether the process answers", sync_to_thread=False)
    def get_liveness(self) -> Alive:
        """Checks no dependency: restart the process if this does not answer."""
        return Alive()

    @get("/ready", summary="Whether the server can serve, and the health of each service")
    async def get_readiness(self, backend: Served) -> Response[Health]:
        """200 while commands and queries are served, `degraded` included; 503 if the database does
        not answer or lacks a read model. Services are checked at most once a second."""
        health = health_of(await backend.overview.snapshot())
        return Response(health, status_code=503 if health.status == "failed" else 200)


def health_of(snapshot: Snapshot) -> Health:
    """The health of each part and of the server."""
    parts = _of_database(snapshot) | _of_backend(snapshot)
    parts["nats"] = HEALTHY if snapshot.pool else PartHealth("degraded", "NATS does not answer")
    parts["blobs"] = (
        HEALTHY if snapshot.blobs else PartHealth("degraded", "the store does not answer")
    )
    parts["workers"] = _of_workers(snapshot)
    return aggregate_health(parts)


def _of_database(snapshot: Snapshot) -> dict[str, PartHealth]:
    database = snapshot.database
    if database is None:
        return {
            "database": PartHealth("failed", "PostgreSQL does not answer, or lacks Stemma's tables")
        }
    missing = PartHealth("failed", "not built in this database; run `stemma migrate`")
    return (
        {"database": HEALTHY}
        | {model.part: _moving(snapshot, model.part) for model in database.read_models}
        | {failing.read_model: _failing(snapshot, failing) for failing in database.failing}
        # Last: one that is not built fails, too.
        | dict.fromkeys(database.not_built, missing)
    )


def _moving(snapshot: Snapshot, part: str) -> PartHealth:
    """Whether a part keeps up, by its position."""
    behind = _behind(snapshot, part)
    if snapshot.stalled.get(part, 0) > STALLED_SECONDS:
        still = (
            f"has made no progress for {snapshot.stalled[part]:.0f} s, and is {behind} events"
            " behind"
        )
        return PartHealth("degraded", still)
    if behind > FAR_BEHIND:
        return PartHealth("degraded", f"is {behind} behind")
    return HEALTHY


def _failing(snapshot: Snapshot, failing: Failing) -> PartHealth:
    behind = _behind(snapshot, failing.read_model)
    return PartHealth(
        "degraded",
        f"has failed {failing.failures} times in a row, for {failing.seconds:.0f} s, and is"
        f" {behind} behind; it is retried, and `stemma status` shows why",
    )


def _behind(snapshot: Snapshot, part: str) -> int:
    return sum(standing.behind for standing in snapshot.lags if standing.part == part)


def _of_backend(snapshot: Snapshot) -> dict[str, PartHealth]:
    """The services by their heartbeats; empty while the database does not answer."""
    if snapshot.database is None:
        return {}
    latest: dict[str, ServiceHeartbeat] = {}
    for sign in snapshot.database.heartbeats:
        latest.setdefault(sign.part, sign)
    return {part: _part(snapshot, part, latest.get(part)) for part in SERVICES}


def _part(snapshot: Snapshot, part: str, sign: ServiceHeartbeat | None) -> PartHealth:
    if sign is None:
        return PartHealth("degraded", "is not running")
    if sign.silent > SILENT_SECONDS:
        return PartHealth("degraded", f"has sent no heartbeat for {sign.silent:.0f} s")
    if sign.failed_ago is not None and sign.failed_ago < FAILED_LATELY_SECONDS:
        failed = (
            f"failed {sign.failed_ago:.0f} s ago, {sign.failures} times in total, and continues"
        )
        return PartHealth("degraded", f"{failed}; `stemma status` shows why")
    halves = ["policies", "control"] if part == "policies" else [part]
    healths = [_moving(snapshot, half) for half in halves]
    return next((health for health in healths if health != HEALTHY), HEALTHY)


def _of_workers(snapshot: Snapshot) -> PartHealth:
    if snapshot.pool is None:
        return PartHealth("degraded", "unknown while NATS does not answer")
    workers, in_work = snapshot.pool.workers, snapshot.pool.in_work
    if in_trouble := [worker for worker in workers if worker.trouble]:
        return PartHealth(
            "degraded",
            f"{len(in_trouble)} of {len(workers)} workers keep failing at the same step, and"
            " their trainings wait; `stemma status` shows why",
        )
    if not workers and in_work:
        return PartHealth("degraded", f"no worker sends heartbeats; jobs in progress: {in_work:,}")
    if not workers:
        return PartHealth("ok", "no workers online: trainings wait")
    return PartHealth("ok", f"{len(workers)} there")
