"""What a read model is: tables, and what each event writes to them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, Executable, MetaData, Table, Text

from domain.event import Recorded

SCHEMA = "read"
CHANNEL = "stemma_read"
"""Notified with the new position whenever a read model has moved on."""


class Write(NamedTuple):
    """A statement, made once for all events, with its parameters."""

    statement: Executable
    parameters: dict[str, Any]


class ReadModel(msgspec.Struct, frozen=True):
    """A read model under its versioned name: a changed one is a new name, built beside the old.

    `project` is pure: what one event writes, given all that came before it.
    """

    name: str
    metadata: MetaData
    project: Callable[[Recorded], Iterable[Write]]


positions = Table(
    "positions",
    MetaData(schema=SCHEMA),
    Column("read_model", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far along the log each read model is."""
