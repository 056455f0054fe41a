"""Versions as they are answered over HTTP, encoded once for each of their revisions.

A thousand of them are two megabytes, of which a training changes a few hundred bytes at a time.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from litestar import MediaType, Response
from sqlalchemy import Connection

from projections.training.library_queries import ModelRow, VersionRow, versions_by_id
from projections.training.library_revisions import VersionRevision

MOST_BYTES = 16 << 20
"""What is kept of them. Those that were encoded first go first."""

encode = msgspec.json.Encoder().encode


class _Encoded(msgspec.Struct, frozen=True):
    """A version as JSON, and what it is true for."""

    revision: int
    comparable: bool | None
    body: bytes


class EncodedVersions:
    """The encoded versions of a process. Safe to use from many threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._known: dict[str, _Encoded] = {}
        self._bytes = 0
        self._changing = threading.Lock()

    def known(self, revisions: Iterable[VersionRevision]) -> list[bytes] | None:
        """The versions at these revisions as JSON, in order; None if one was not encoded yet."""
        bodies = []
        for wanted in revisions:
            body = self._find(wanted)
            if body is None:
                return None
            bodies.append(body)
        return bodies

    def encode(
        self,
        connection: Connection,
        revisions: Sequence[VersionRevision],
        as_of: int | None,
        incomplete: Callable[[VersionRow], bool],
    ) -> list[bytes | VersionRow]:
        """The versions at these revisions as JSON, in order. Those that are `incomplete` are rows:
        the caller completes them with what may change or be erased, and is never kept."""
        bodies: dict[str, bytes | VersionRow] = {}
        missing = []
        for wanted in revisions:
            body = self._find(wanted)
            if body is None:
                missing.append(wanted.version_id)
            else:
                bodies[wanted.version_id] = body
        rows = versions_by_id(connection, missing, as_of=as_of) if missing else {}
        for version_id, row in rows.items():
            bodies[version_id] = row if incomplete(row) else self._keep(row)
        return [bodies[wanted.version_id] for wanted in revisions]

    def _find(self, wanted: VersionRevision) -> bytes | None:
        known = self._known.get(wanted.version_id)
        if known is None or known.revision != wanted.revision:
            return None
        return known.body if known.comparable is wanted.comparable else None

    def _keep(self, row: VersionRow) -> bytes:
        body = encode(row)
        with self._changing:
            before = self._known.pop(row.version_id, None)
            self._known[row.version_id] = _Encoded(row.revision, row.comparable, body)
            self._bytes += len(body) - (0 if before is None else len(before.body))
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._known.pop(next(iter(self._known))).body)
        return body


def listing(items: Iterable[bytes], following: str | None, position: int) -> Response[Any]:
    """A response with a `Listing` of encoded items."""
    return _listing(_separated([item] for item in items), following, position)


def library_listing(
    models: Iterable[tuple[ModelRow, Sequence[VersionRevision]]],
    versions: Iterable[bytes],
    following: str | None,
    position: int,
) -> Response[Any]:
    """A response with a `Listing` of models, each with as many of the encoded versions as are
    listed under it."""
    left = iter(versions)
    items = (_with_versions(model, list(islice(left, len(own)))) for model, own in models)
    return _listing(_separated(items), following, position)


def _with_versions(model: ModelRow, versions: Iterable[bytes]) -> Iterator[bytes]:
    yield b'{"model":%b,"versions":[' % encode(model)
    yield from _separated([version] for version in versions)
    yield b"]}"


def _separated(items: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The parts of items with a comma between two items."""
    for place, item in enumerate(items):
        if place:
            yield b","
        yield from item


def _listing(parts: Iterable[bytes], following: str | None, position: int) -> Response[Any]:
    # Joined once: the parts may be megabytes.
    end = b'],"next":%b,"position":%d}' % (encode(following), position)
    return Response(b"".join([b'{"items":[', *parts, end]), media_type=MediaType.JSON)
