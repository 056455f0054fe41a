"""Limits of HTTP connections: clients that send endless headers or stop reading are cut off."""

import asyncio
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNREAD_SECONDS = 30.0
LONGEST_HEAD = 512_000
"""Bytes of a request's address and headers; the parser itself has no limit."""


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol that cuts a connection whose client stops reading or sends an endless
    head.

    A client has stopped reading when more than the transport's high-water mark (64 KiB) is
    buffered and nothing of it was read for `UNREAD_SECONDS`.
    """

    _look: asyncio.TimerHandle | None = None
    _head: int | None = None
    """Bytes received since the head of a request began; None outside of a head."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LONGEST_HEAD:
                self.send_400_response(f"the head of the request exceeds {LONGEST_HEAD} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _look_later(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._look = self.loop.call_later(UNREAD_SECONDS, self._cut_unless_read, unread)

    def _cut_unless_read(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._look_later()
        else:
            # With a reset, so that the kernel drops its buffer too.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def _forget(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
