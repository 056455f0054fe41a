"""Health of parts and servers: ok, degraded or failed, with a reason that anyone may read."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Condition = Literal["ok", "degraded", "failed"]


class PartHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a part is, and why, unless all is well."""

    status: Condition
    why: str = ""


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Health(msgspec.Struct, frozen=True):
    """`failed`: this server cannot serve. `degraded`: it does, and something waits to be mended."""

    status: Condition
    parts: dict[str, PartHealth]


HEALTHY = PartHealth("ok")


def aggregate_health(parts: Mapping[str, PartHealth]) -> Health:
    """The health of the whole: that of its worst part."""
    statuses = {part.status for part in parts.values()}
    worst: Condition = (
        "failed" if "failed" in statuses else "degraded" if "degraded" in statuses else "ok"
    )
    return Health(worst, dict(parts))
