"""Limits of HTTP connections: clients that send too slowly, without end, or stop reading are cut
off."""

import asyncio
import socket
import struct
from typing import Any, ClassVar

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.settings import Settings
from api.http.addresses import Proxies
from api.http.admission import Admission

HEAD_SECONDS = 20.0
"""From opening a connection, or from the first byte of a later request, until its head is there."""

BODY_SECONDS = 30.0
BODY_BYTES = 15_000
"""At least so many bytes of a body must arrive within `BODY_SECONDS`, while it is read."""

UNREAD_SECONDS = 30.0
TLS_SECONDS = 10.0
"""For the handshake."""

IDLE_SECONDS = 65
"""A connection may stay open between two requests."""

RESERVED_FILES = 256
"""Open files of the process besides connections: of the database, blobs, logs, uploads."""

LONGEST_HEAD = 512_000
"""Bytes of a request's address and headers; the parser itself has no limit."""


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol that cuts a connection whose client sends its request too slowly, stops
    reading or sends an endless head.

    A client has stopped reading when more than the transport's high-water mark (64 KiB) is
    buffered and nothing of it was read for `UNREAD_SECONDS`.
    """

    admission: ClassVar[Admission]

    _head: int | None = None
    """Bytes received since the head of a request began; None outside of a head."""
    _in_body = False
    _received = 0
    """Bytes received since the body was last looked at."""
    _was_paused = False
    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.admission.admit(self, self.client[0] if self.client else ""):
            self._time_head()
        else:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.admission.forget(self)
        for timer in (self._head_timer, self._body_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._body_timer = self._unread_timer = None

    def cut(self) -> None:
        """Close the connection; unless it is idle, with a reset, so that the kernel drops its
        buffers too."""
        if self.cycle is not None and self.cycle.response_complete and self._head is None:
            # Its client sees the end before it sends another request.
            self.transport.close()
            return
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head is not None:
            self._head += len(data)
            if self._head > LONGEST_HEAD:
                self.send_400_response(f"the head of the request exceeds {LONGEST_HEAD} bytes")
        elif self._in_body:
            self._received += len(data)
            if self._body_timer is None:
                self._time_body()
        elif self.timeout_keep_alive_task is None and not self._works:
            # Empty lines before a request, which end the time between requests.
            self._time_head()

    @property
    def _works(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._time_head()

    def on_headers_complete(self) -> None:
        self._head = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._in_body = True
        self.admission.works(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body, self._received = False, 0
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._works:
            self.admission.waits(self)

    def _time_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.cut)

    def _time_body(self) -> None:
        self._received, self._was_paused = 0, self.flow.read_paused
        self._body_timer = self.loop.call_later(BODY_SECONDS, self._cut_unless_sent)

    def _cut_unless_sent(self) -> None:
        # While the server itself does not read, the client cannot send.
        if self._received < BODY_BYTES and not (self._was_paused or self.flow.read_paused):
            self.cut()
        else:
            self._time_body()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._time_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _time_unread(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._cut_unless_read, unread)

    def _cut_unless_read(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._time_unread()
        else:
            self.cut()


class Loop(uvloop.Loop):
    """uvloop with a shorter limit for TLS handshakes than its minute.

    A connection is counted once its handshake is done.
    """

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """Like `uvloop.Loop.create_server`."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = TLS_SECONDS
        return await super().create_server(*arguments, **options)


def server_options(settings: Settings, files: int) -> dict[str, Any]:
    """The options of uvicorn that limit connections; `files` is the limit of open files."""
    return {
        "loop": f"{__name__}:{Loop.__name__}",
        "http": _limited(settings, files),
        # Else a request could turn its connection into one that is not limited.
        "ws": "none",
        "timeout_keep_alive": IDLE_SECONDS,
    }


def _limited(settings: Settings, files: int) -> type[ImpatientProtocol]:
    total = max(files - RESERVED_FILES, files // 2)
    proxies = Proxies(settings.trusted_proxies)

    class Limited(ImpatientProtocol):
        admission = Admission(settings.connections, total, proxies)

    return Limited
