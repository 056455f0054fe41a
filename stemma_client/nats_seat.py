"""Who this client is on NATS: connected as them, and under which name they may have a consumer."""

from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from stemma_client.over_http import Refused

WHO_AM_I = "$SYS.REQ.USER.INFO"
"""Whom the server takes us for; every account may ask, unless its permissions say otherwise."""
ASK_SECONDS = 2.0
VIOLATION = "authorization violation"
SHUT_OUT = (
    "NATS does not let you in: there is no seed, a wrong one, or one that was removed; ask your"
    " operator for one (`stemma nats add subscriber NAME`)"
)
SUBSCRIBER, WORKER, API = "subscriber-", "worker-", "api-"


class _User(msgspec.Struct, frozen=True):
    account: str = ""


class _Answer(msgspec.Struct, frozen=True):
    data: _User = _User()


class Seat:
    """A connection that comes back by itself, except where its seed opens nothing."""

    _client: Client

    def __init__(self) -> None:
        self._account = ""
        self._connected = self._shut_out = False

    async def connect(self, url: str, **options: Any) -> Client:
        """Connected, as soon as a server can be reached. Raises `Refused`."""
        theirs = options.pop("error_cb", None)

        async def note(error: Exception) -> None:
            if VIOLATION in str(error).casefold():
                self._shut_out = True
                if not self._connected:  # later it would end only the task that reconnects
                    raise Refused(SHUT_OUT) from error
            if theirs is not None:
                await theirs(error)

        self._client = await nats.connect(url, error_cb=note, max_reconnect_attempts=-1, **options)
        self._connected = True
        return self._client

    def refuse_closed(self) -> None:
        """Raises `Refused` once the server has closed the connection for good."""
        if self._shut_out or self._client.is_closed:
            raise Refused(SHUT_OUT)

    async def consumer(self, name: str | None) -> str | None:
        """The name under which a consumer may be made; None for any. Raises `Refused`."""
        if not self._account:
            self._account = await self._ask()
        if self._account.startswith((WORKER, API)):
            raise Refused(
                f"this seed is that of {self._account}, which may not follow the events: take a"
                " subscriber's (`stemma nats add subscriber NAME`)"
            )
        if not self._account.startswith(SUBSCRIBER):
            return name
        own = self._account.removeprefix(SUBSCRIBER)
        if name not in {None, own}:
            raise Refused(
                f"this seed is that of the subscriber {own}, whose only consumer is {own!r}, not"
                f" {name!r}: leave the name out, or take the other one's seed"
            )
        return own

    async def _ask(self) -> str:
        """The account that the server has us in; empty where it does not say."""
        try:
            reply = await self._client.request(WHO_AM_I, timeout=ASK_SECONDS)
            return msgspec.json.decode(reply.data, type=_Answer).data.account
        except (NatsError, msgspec.DecodeError):
            return ""
