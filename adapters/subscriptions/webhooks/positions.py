"""How far each webhook has been served: a row that moves on with every delivery.

A webhook without a row is served from its start: what is lost of these rows is sent again.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row
from sqlalchemy import Connection, text

from application.webhooks import Endpoint
from domain.subscriptions.webhook import ACTIVE

FAILING = "failing"
_DELIVERING = 73637742


class DeliveryState(msgspec.Struct, frozen=True):
    """Up to where a webhook has been served. Since `failing_since` every try has failed, `failures`
    times in a row, and there is no other before `next_try_at`."""

    position: int
    failures: int = 0
    failing_since: datetime | None = None
    next_try_at: datetime | None = None
    last_error: str | None = None
    delivered_at: datetime | None = None


class WebhookLag(msgspec.Struct, frozen=True):
    """How it goes with a webhook. `behind` counts the log's events after its position, wanted or
    not."""

    endpoint: Endpoint
    place: DeliveryState
    behind: int

    @property
    def going(self) -> str:
        """The webhook's state, but `failing` where it is active and its last tries failed."""
        state = self.endpoint.webhook.state
        return FAILING if state == ACTIVE and self.place.failures else state


class Overtaken(Exception):
    """Another process delivers to the same webhook."""


_COLUMNS = "position, failures, failing_since, next_try_at, last_error, delivered_at"


class Positions:
    """The rows, written by the one process that delivers."""

    def __init__(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        self._connection = connection

    async def begin(self, endpoint: Endpoint) -> DeliveryState:
        """The state to continue from. Commands since then take effect: a replay moves the
        position, and a replay or a resumption clears the failures."""
        await self._connection.execute(
            "INSERT INTO work.webhook_positions AS held (webhook_id, begun, position)"
            " VALUES (%(key)s, %(begun)s, %(start)s) ON CONFLICT (webhook_id) DO UPDATE"
            " SET begun = excluded.begun, failures = 0, failing_since = NULL, next_try_at = NULL,"
            " last_error = NULL, position = CASE WHEN held.begun < %(placed)s"
            " THEN excluded.position ELSE held.position END WHERE held.begun < excluded.begun",
            {
                "key": endpoint.webhook_id,
                "begun": endpoint.begun,
                "placed": endpoint.placed,
                "start": endpoint.start,
            },
        )
        async with self._connection.cursor(row_factory=class_row(DeliveryState)) as cursor:
            query = f"SELECT {_COLUMNS} FROM work.webhook_positions WHERE webhook_id = %s"
            await cursor.execute(query, (endpoint.webhook_id,))
            row = await cursor.fetchone()
        assert row is not None
        return row

    async def delivered(self, webhook_id: str, position: int) -> None:
        """The event at this position has arrived. Raises `Overtaken`."""
        await self._move(
            "position = %(position)s, failures = 0, failing_since = NULL, next_try_at = NULL,"
            " last_error = NULL, delivered_at = now()",
            webhook_id,
            position,
        )

    async def passed(self, webhook_id: str, position: int) -> None:
        """Nothing up to this position is for the webhook. Raises `Overtaken`."""
        await self._move("position = %(position)s", webhook_id, position)

    async def _move(self, changes: str, webhook_id: str, position: int) -> None:
        done = await self._connection.execute(
            f"UPDATE work.webhook_positions SET {changes}"
            " WHERE webhook_id = %(key)s AND position < %(position)s",
            {"key": webhook_id, "position": position},
        )
        if done.rowcount != 1:
            raise Overtaken(f"webhook {webhook_id} is already at position {position}")

    async def failed(self, webhook_id: str, place: DeliveryState) -> None:
        await self._connection.execute(
            "UPDATE work.webhook_positions SET failures = %s, failing_since = %s,"
            " next_try_at = %s, last_error = %s WHERE webhook_id = %s",
            (place.failures, place.failing_since, place.next_try_at, place.last_error, webhook_id),
        )


@asynccontextmanager
async def delivering(database_url: str) -> AsyncIterator[Positions | None]:
    """Hold the right to deliver, which ends with this process or its connection; None if another
    process has it."""
    connection = await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, connect_timeout=5
    )
    async with connection:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (_DELIVERING,))
        [held] = await cursor.fetchone() or [False]
        if not held:
            yield None
            return
        # A position that a power loss takes back is a delivery that is repeated.
        await connection.execute("SET synchronous_commit = off")
        try:
            yield Positions(connection)
        finally:
            # The server notices the connection's end a moment later.
            with suppress(psycopg.OperationalError):
                await connection.execute("SELECT pg_advisory_unlock(%s, 0)", (_DELIVERING,))


def webhook_lags(
    connection: Connection, endpoints: Collection[Endpoint], head: int
) -> list[WebhookLag]:
    """How it goes with each webhook, in the order given; `head` is where the log ends."""
    rows = connection.execute(
        text(
            f"SELECT webhook_id, begun, {_COLUMNS} FROM work.webhook_positions"
            " WHERE webhook_id = ANY(:keys)"
        ),
        {"keys": [endpoint.webhook_id for endpoint in endpoints]},
    )
    held = {row.webhook_id: row for row in rows}
    places = [_place(endpoint, held.get(endpoint.webhook_id)) for endpoint in endpoints]
    return [
        WebhookLag(endpoint, place, max(head - place.position, 0))
        for endpoint, place in zip(endpoints, places, strict=True)
    ]


def _place(endpoint: Endpoint, row: Any) -> DeliveryState:
    """A replay that is not processed yet counts already, and so does a resumption."""
    if row is None or row.begun < endpoint.placed:
        return DeliveryState(endpoint.start)
    if row.begun < endpoint.begun:
        return DeliveryState(row.position, delivered_at=row.delivered_at)
    values = dict(row._mapping)
    del values["webhook_id"], values["begun"]
    return DeliveryState(**values)
