"""Arrays as parameters of an append, in PostgreSQL's binary format.

psycopg looks at each element to find the type of an array, which takes longer than all the rest of
an append of one event. The type of these is known.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Any

import psycopg
from psycopg import postgres
from psycopg.adapt import Dumper
from psycopg.pq import Format

_TEXT, _BYTEA, _INT8 = (postgres.types[name] for name in ("text", "bytea", "int8"))
_HEAD, _NONE = Struct("!iiIii"), Struct("!iiI")
_LENGTH, _BIGINT = Struct("!i"), Struct("!iq")


class Texts(list[str]):
    """A `text[]`."""


class Byteas(list[bytes]):
    """A `bytea[]`."""


class Bigints(list[int]):
    """A `bigint[]`."""


def register(connection: psycopg.Connection[Any]) -> None:
    """Let a connection take these as parameters."""
    connection.adapters.register_dumper(Texts, _TextsDumper)
    connection.adapters.register_dumper(Byteas, _ByteasDumper)
    connection.adapters.register_dumper(Bigints, _BigintsDumper)


def _array(element: int, count: int, elements: Iterable[bytes]) -> bytes:
    if not count:
        return _NONE.pack(0, 0, element)
    return b"".join([_HEAD.pack(1, 0, element, count, 1), *elements])


def _sized(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT.array_oid

    def dump(self, obj: Texts) -> bytes:
        return _array(_TEXT.oid, len(obj), [_sized(one.encode()) for one in obj])


class _ByteasDumper(Dumper):
    format = Format.BINARY
    oid = _BYTEA.array_oid

    def dump(self, obj: Byteas) -> bytes:
        return _array(_BYTEA.oid, len(obj), map(_sized, obj))


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = _INT8.array_oid

    def dump(self, obj: Bigints) -> bytes:
        return _array(_INT8.oid, len(obj), [_BIGINT.pack(8, one) for one in obj])
