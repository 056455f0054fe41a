"""Personal fields of events: sealed in the log, so that they can be erased.

A field is marked in its type, `Annotated[str, PERSONAL]`. It is stored encrypted with a key of the
stream's own; once that key is gone, the field reads as erased. Digests of secrets are marked, too:
what is marked never leaves the log.
"""

from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from domain.event import Event

PERSONAL = msgspec.Meta(extra={"personal": True})

ERASED = "[erased]"
"""The value of an erased text; an erased mapping is empty."""


@cache
def erased_values(event_type: type[Event]) -> dict[str, Any]:
    """The personal fields of a type, by name, with the values that they have once erased."""
    hints = get_type_hints(event_type, include_extras=True)
    return {
        name: {} if get_origin(get_args(hint)[0]) is dict else ERASED
        for name, hint in hints.items()
        if get_origin(hint) is Annotated and PERSONAL in get_args(hint)[1:]
    }


def without_personal(event: Event) -> Event:
    """The event with its personal fields erased; one that is null tells nothing, and stays."""
    values = {
        name: value
        for name, value in erased_values(type(event)).items()
        if getattr(event, name) is not None
    }
    return msgspec.structs.replace(event, **values) if values else event


def shreds(event: Event) -> bool:
    """Whether the event deletes the key of its stream: its name ends in `.erased`."""
    return event.event_name.endswith(".erased")
