"""One message on its way: signed as Standard Webhooks says, posted, and how that went."""

import asyncio
import contextlib
import logging
import ssl
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import TracebackType
from typing import Self

import httpx
import msgspec
from standardwebhooks import Webhook as Signer

from adapters.subscriptions.webhooks.addresses import Gate, Refused, host_of, parsed
from domain.event import Recorded
from domain.subscriptions.cloud_events import cloud_event

CONTENT_TYPE = "application/cloudevents+json"
ADDRESSES_TRIED = 4
MAX_ANSWER_BYTES = 64 << 10
LONGEST_RETRY_AFTER = 86_400.0
REST_SECONDS = 2.0
LONGEST_TROUBLE = 300
"""Characters of an error that are kept: it may repeat what the receiver has sent, which is its to
choose."""
GONE = 410


class Message(msgspec.Struct, frozen=True):
    """An event as it is sent; the same bytes each time."""

    message_id: str
    body: bytes


class DeliveryResult(msgspec.Struct, frozen=True):
    """What came of a message. `trouble` says why it does not count as delivered, `retry_after` in
    how many seconds the receiver wants it again."""

    trouble: str | None = None
    status: int | None = None
    retry_after: float = 0.0

    @property
    def gone(self) -> bool:
        return self.status == GONE


def message_of(recorded: Recorded) -> Message:
    return Message(recorded.metadata.event_id, msgspec.json.encode(cloud_event(recorded)))


def signed(message: Message, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of a message, with a signature by each secret."""
    text = message.body.decode()
    signatures = [Signer(secret).sign(message.message_id, now, text) for secret in secrets]
    return {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": "Stemma",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


class Sender:
    """Posts to one URL. It has connections of its own: one that was made for another host at the
    same address would not have been checked for this one's certificate."""

    def __init__(self, gate: Gate, timeout: float) -> None:
        # It would write each URL to the log, and one may hold what nobody else should know.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._gate = gate
        self._timeout = timeout
        # Nothing of the environment: a proxy would go where it likes.
        self._client = httpx.AsyncClient(
            verify=_tls(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=timeout / 3),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def send(self, url: str, message: Message, secrets: Sequence[str]) -> DeliveryResult:
        """Never raises for what the receiver, or whatever is between, does wrong."""
        headers = signed(message, secrets, datetime.now(UTC))
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._post(parsed(url), message.body, headers)
        except TimeoutError:
            return DeliveryResult(f"no answer within {self._timeout:g} s")
        except Refused as refused:
            return DeliveryResult(str(refused))
        except httpx.HTTPError as error:
            trouble = f"{type(error).__name__}: {error}".rstrip(": ")
            return DeliveryResult(textwrap.shorten(trouble, LONGEST_TROUBLE, placeholder=" …"))
        return await _answer(response)

    async def _post(self, url: httpx.URL, body: bytes, headers: dict[str, str]) -> httpx.Response:
        addresses = (await self._gate.addresses(url))[:ADDRESSES_TRIED]
        *others, last = addresses
        for address in others:
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._post_to(address, url, body, headers)
        return await self._post_to(last, url, body, headers)

    async def _post_to(
        self, address: str, url: httpx.URL, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        """Connect to the address; the host is what the certificate must be for."""
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={"Host": url.netloc.decode(), **headers},
            extensions={"sni_hostname": host_of(url)},
        )
        return await self._client.send(request, stream=True)


async def _answer(response: httpx.Response) -> DeliveryResult:
    """The status counts, whatever becomes of the rest."""
    try:
        with contextlib.suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(REST_SECONDS):
                await _read_little(response)
    finally:
        await response.aclose()
    if response.is_success:
        return DeliveryResult(status=response.status_code)
    wanted = _seconds(response.headers.get("Retry-After", ""), datetime.now(UTC))
    note = "; redirects are not followed" if response.is_redirect else ""
    return DeliveryResult(f"answered {response.status_code}{note}", response.status_code, wanted)


async def _read_little(response: httpx.Response) -> None:
    """Read what is short, so that the connection can serve again; leave the rest unread."""
    count = 0
    async for piece in response.aiter_raw():
        count += len(piece)
        if count > MAX_ANSWER_BYTES:
            return


def _seconds(header: str, now: datetime) -> float:
    """`Retry-After` (RFC 9110, 10.2.3): seconds, or a date. An invalid value is ignored."""
    try:
        wanted = float(int(header)) if header.isdecimal() else _until(header, now)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wanted, 0.0), LONGEST_RETRY_AFTER)


def _until(date: str, now: datetime) -> float:
    return (parsedate_to_datetime(date) - now).total_seconds()


@lru_cache
def _tls() -> ssl.SSLContext:
    """The machine's own authorities: an operator may have added one."""
    return ssl.create_default_context()
