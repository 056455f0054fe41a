"""What may change in a schema of a version that is published: optional fields may be added.

Readers keep working: what they read is there still, in the form they know. Anything else is a
new version. Words about a field may change, and so may examples.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

WORDS = frozenset({"title", "description", "examples", "$schema", "$id"})
_WITHIN = frozenset({"items", "additionalProperties", "anyOf", "prefixItems", "allOf", "oneOf"})
WHOLE = "the payload"


def breaches(before: Schema, after: Schema, place: str = "") -> Iterator[str]:
    """What a reader of `before` could stumble over in `after`, each with its field."""
    subject = f"field `{place}`" if place else WHOLE
    for keyword in sorted((before.keys() | after.keys()) - WORDS - {"properties", "required"}):
        old, new = before.get(keyword), after.get(keyword)
        if keyword in _WITHIN:
            yield from _within(old, new, place, f"{subject}: `{keyword}`")
        elif old != new:
            yield f"{subject}: `{keyword}` was {_shown(old)} and is {_shown(new)}"
    yield from _fields(before, after, place)


def _within(old: Any, new: Any, place: str, subject: str) -> Iterator[str]:
    """Schemas inside a schema: of items, of values, or alternatives in their order."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from breaches(old, new, f"{place}[]")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from breaches(one, other, place)
    elif old != new:
        yield f"{subject} was {_shown(old)} and is {_shown(new)}"


def _fields(before: Schema, after: Schema, place: str) -> Iterator[str]:
    old, new = before.get("properties", {}), after.get("properties", {})
    needed, needs = set(before.get("required", ())), set(after.get("required", ()))
    for name in [*old, *(name for name in new if name not in old)]:
        path = f"{place}.{name}".lstrip(".")
        if name not in new:
            yield f"field `{path}` is gone, or has another name"
            continue
        if name in needs - needed:
            came = "was optional and is required" if name in old else "is new and required"
            yield f"field `{path}` {came}"
        if name in needed - needs:
            yield f"field `{path}` was required and is optional"
        if name in old:
            yield from breaches(old[name], new[name], path)


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)
