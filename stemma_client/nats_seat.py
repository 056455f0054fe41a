"""The client's connection to NATS: its account, and the consumer name that the account allows."""

from __future__ import annotations

from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from stemma_client.errors import Refused

USER_INFO = "$SYS.REQ.USER.INFO"
"""The subject for information on this client's user; every account may request it by default."""
REQUEST_SECONDS = 2.0
VIOLATION = "authorization violation"
SHUT_OUT = (
    "NATS refused the connection: the seed is missing, wrong or revoked; ask your operator for"
    " one (`stemma nats add subscriber NAME`)"
)
SUBSCRIBER, WORKER, API = "subscriber-", "worker-", "api-"


class _User(msgspec.Struct, frozen=True):
    account: str = ""


class _UserInfo(msgspec.Struct, frozen=True):
    data: _User = _User()


class Seat:
    """A connection that reconnects by itself, unless its seed is rejected."""

    _client: Client

    def __init__(self) -> None:
        self._account = ""
        self._connected = self._shut_out = False

    async def connect(self, url: str, **options: Any) -> Client:
        """Connect as soon as a server can be reached. Raises `Refused`."""
        callback = options.pop("error_cb", None)

        async def handle(error: Exception) -> None:
            if VIOLATION in str(error).casefold():
                self._shut_out = True
                if not self._connected:  # later, it would only end the task that reconnects
                    raise Refused(SHUT_OUT) from error
            if callback is not None:
                await callback(error)

        self._client = await nats.connect(
            url, error_cb=handle, max_reconnect_attempts=-1, **options
        )
        self._connected = True
        return self._client

    def refuse_closed(self) -> None:
        """Raise `Refused` if the server has closed the connection permanently."""
        if self._shut_out or self._client.is_closed:
            raise Refused(SHUT_OUT)

    async def consumer(self, name: str | None) -> str | None:
        """The name that a consumer must have; None for any name. Raises `Refused`."""
        if not self._account:
            self._account = await self._fetch_account()
        if self._account.startswith((WORKER, API)):
            raise Refused(
                f"this seed is that of {self._account}, which may not follow the events: use that"
                " of a subscriber (`stemma nats add subscriber NAME`)"
            )
        if not self._account.startswith(SUBSCRIBER):
            return name
        own = self._account.removeprefix(SUBSCRIBER)
        if name not in {None, own}:
            raise Refused(
                f"this seed is that of the subscriber {own}, whose only consumer is {own!r}, not"
                f" {name!r}: omit the name, or use the seed of the other subscriber"
            )
        return own

    async def _fetch_account(self) -> str:
        """The account of this client; empty if the server does not report it."""
        try:
            reply = await self._client.request(USER_INFO, timeout=REQUEST_SECONDS)
            return msgspec.json.decode(reply.data, type=_UserInfo).data.account
        except (NatsError, msgspec.DecodeError):
            return ""
