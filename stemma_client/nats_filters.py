"""Filters of NATS subjects for events by name and subject."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

EVERY_EVENT = "stemma.events.>"

_NAME = re.compile(r"([a-z]+)\.([a-z_]+|\*)")
_SUBJECT = re.compile(r"([a-z]+)-([A-Za-z0-9_-]+)")


def filters_of(names: Sequence[str], subjects: Sequence[str]) -> Iterator[str]:
    """The NATS subjects of events with these names and subjects; none of them overlap."""
    if not names and not subjects:
        yield EVERY_EVENT
        return
    events = dict.fromkeys(_parts(_NAME, name, "version.created or version.*") for name in names)
    things = dict.fromkeys(_parts(_SUBJECT, subject, "version-…") for subject in subjects)
    matched = False
    for kind, event in events or dict.fromkeys((kind, "*") for kind, _ in things):
        if event != "*" and (kind, "*") in events:
            continue
        ids = [key for of, key in things if of == kind] if things else ["*"]
        for key in ids:
            matched = True
            yield f"stemma.events.{kind}.{event}.{key}.>"
    if not matched:
        raise ValueError(
            f"no event has one of the names {names} and one of the subjects {subjects}"
        )


def _parts(pattern: re.Pattern[str], text: str, example: str) -> tuple[str, str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a NATS subject; it must look like {example}")
    return match[1], match[2]
