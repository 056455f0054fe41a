"""Whether this server is alive, whether it can serve, and what is the matter with each part.

Anyone may ask: answers name parts and say what is wrong with them in words that are written here.
"""

from litestar import Controller, Response, get

from adapters.health.health import HEALTHY, Alive, Health, PartHealth, aggregate_health
from adapters.health.heartbeats import SILENT_SECONDS, Sign
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
    def get_live(self) -> Alive:
        """Touches nothing: restart the process if this does not answer."""
        return Alive()

    @get("/ready", summary="Whether the server can serve, and how each part is")
    async def get_ready(self, backend: Served) -> Response[Health]:
        """200 as long as commands and queries are served, `degraded` included; 503 if the database
        does not answer or lacks a read model. Parts are asked at most once a second."""
        health = judged(await backend.overview.snapshot())
        return Response(health, status_code=503 if health.status == "failed" else 200)


def judged(snapshot: Snapshot) -> Health:
    """The health that a snapshot shows."""
    parts = _of_database(snapshot) | _of_backend(snapshot)
    parts["nats"] = HEALTHY if snapshot.pool else PartHealth("degraded", "NATS does not answer")
    parts["blobs"] = (
        HEALTHY if snapshot.blobs else PartHealth("degraded", "the store does not answer")
    )
    parts["workers"] = _of_workers(snapshot)
    return aggregate_health(parts)


def _of_database(snapshot: Snapshot) -> dict[str, PartHealth]:
    known = snapshot.database
    if known is None:
        return {"database": PartHealth("failed", "PostgreSQL does not answer, or lacks our tables")}
    missing = PartHealth("failed", "not built in this database; run `stemma migrate`")
    return (
        {"database": HEALTHY}
        | dict.fromkeys(known.not_built, missing)
        | {one.part: _moving(snapshot, one.part) for one in known.read_models}
        | {one.read_model: _failing(snapshot, one) for one in known.failing}
    )


def _moving(snapshot: Snapshot, part: str) -> PartHealth:
    """Whether a part keeps up, as far as its position tells."""
    behind = _behind(snapshot, part)
    if snapshot.stalled.get(part, 0) > STALLED_SECONDS:
        still = f"has not moved for {snapshot.stalled[part]:.0f} s, and is {behind} behind"
        return PartHealth("degraded", still)
    if behind > FAR_BEHIND:
        return PartHealth("degraded", f"is {behind} behind")
    return HEALTHY


def _failing(snapshot: Snapshot, failing: Failing) -> PartHealth:
    behind = _behind(snapshot, failing.read_model)
    return PartHealth(
        "degraded",
        f"has failed {failing.failures} times in a row, for {failing.seconds:.0f} s, and is"
        f" {behind} behind; it is tried again, and `stemma status` says"
        " why",
    )


def _behind(snapshot: Snapshot, part: str) -> int:
    return sum(one.behind for one in snapshot.lags if one.part == part)


def _of_backend(snapshot: Snapshot) -> dict[str, PartHealth]:
    """The parts that say that they run; nothing, if nobody can know."""
    if snapshot.database is None:
        return {}
    latest: dict[str, Sign] = {}
    for sign in snapshot.database.heartbeats:
        latest.setdefault(sign.part, sign)
    return {part: _part(snapshot, part, latest.get(part)) for part in SERVICES}


def _part(snapshot: Snapshot, part: str, sign: Sign | None) -> PartHealth:
    if sign is None:
        return PartHealth("degraded", "is not running")
    if sign.silent > SILENT_SECONDS:
        return PartHealth("degraded", f"has given no sign of life for {sign.silent:.0f} s")
    if sign.failed_ago is not None and sign.failed_ago < FAILED_LATELY_SECONDS:
        failed = f"failed {sign.failed_ago:.0f} s ago, {sign.failures} times in all, and goes on"
        return PartHealth("degraded", f"{failed}; `stemma status` says why")
    halves = ["policies", "control"] if part == "policies" else [part]
    found = [_moving(snapshot, one) for one in halves]
    return next((one for one in found if one != HEALTHY), HEALTHY)


def _of_workers(snapshot: Snapshot) -> PartHealth:
    if snapshot.pool is None:
        return PartHealth("degraded", "unknown while NATS does not answer")
    if not snapshot.pool.workers:
        return PartHealth("ok", "none is there: trainings wait")
    return PartHealth("ok", f"{len(snapshot.pool.workers)} there")
