"""Connections of HTTP clients: what they send without end, or do not read, is not kept."""

import asyncio
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNREAD_SECONDS = 30.0
LONGEST_HEAD = 512_000
"""Bytes of an address and its headers: the parser itself would wait for more of them for ever."""


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which cuts a connection whose client has stopped to read, or sends a head
    that does not end.

    The first is one for whom more waits than the transport holds gladly, 64 KiB, and who took
    nothing of it for `UNREAD_SECONDS`. While clients keep up it does nothing.
    """

    _look: asyncio.TimerHandle | None = None
    _head: int | None = None
    """Bytes received since the head of a request began; None where none is under way."""

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
            # With a reset, so that the kernel keeps none of it either.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def _forget(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
