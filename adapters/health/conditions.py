"""How something is: well, unwell but at work, or failed; and why, in words for anyone."""

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


WELL = PartHealth("ok")


def all_in_all(parts: Mapping[str, PartHealth]) -> Health:
    """As well as the worst of the parts."""
    found = {part.status for part in parts.values()}
    worst: Condition = (
        "failed" if "failed" in found else "degraded" if "degraded" in found else "ok"
    )
    return Health(worst, dict(parts))
