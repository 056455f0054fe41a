"""How payloads stored in an older form are read: one pure step from each version to the next."""

from collections.abc import Callable, Mapping
from typing import Any

Payload = dict[str, Any]
Step = Callable[[Payload], Payload]


def _with_validation_set(payload: Payload) -> Payload:
    """Version 1 did not say which images validate."""
    return payload | {"validation_set": None}


UPCASTS: Mapping[tuple[str, int], Step] = {("version.dataset_frozen", 1): _with_validation_set}
"""By event name and the version that the step starts from."""


def upcast(
    name: str,
    payload: Payload,
    stored_version: int,
    current_version: int,
    steps: Mapping[tuple[str, int], Step] = UPCASTS,
) -> Payload:
    """Bring a payload to the current version. Raises `LookupError` where a step is missing."""
    for version in range(stored_version, current_version):
        if (name, version) not in steps:
            raise LookupError(f"no upcast of {name} from version {version} to {version + 1}")
        payload = steps[name, version](payload)
    if stored_version > current_version:
        raise LookupError(
            f"{name} was stored in version {stored_version}, newer than {current_version}, the"
            " newest this program knows: run a newer Stemma"
        )
    return payload
