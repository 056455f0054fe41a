"""What a receiver answers is not to be trusted: neither to end, nor to be short, nor to be HTTP."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.subscriptions.webhooks import sending
from adapters.subscriptions.webhooks.addresses import Gate, allowed_in
from adapters.subscriptions.webhooks.sending import LONGEST_TROUBLE, DeliveryResult, Message, Sender
from application.webhooks import new_secret

SECONDS = 1.0


@contextmanager
def answering(text: bytes) -> Iterator[str]:
    """The URL of one who answers one message with these bytes, and then neither goes on nor hangs
    up before the test does."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(text)
                over.wait()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def sent(url: str) -> DeliveryResult:
    async def send() -> DeliveryResult:
        async with Sender(Gate(allowed_in("127.0.0.1")), SECONDS) as sender:
            return await sender.send(url, Message("1", b"{}"), [new_secret()])

    return asyncio.run(send())


def test_a_status_counts_though_the_rest_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rest is waited for until after the time limit of the status."""
    monkeypatch.setattr(sending, "REST_SECONDS", 2 * SECONDS)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as url:
        assert sent(url) == DeliveryResult(status=200)


def test_no_status_within_the_time_limit_is_no_answer() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n") as url:
        assert sent(url) == DeliveryResult(f"no answer within {SECONDS:g} s")


@pytest.mark.parametrize("filling", [b"x", b"x x"])
def test_what_is_no_answer_is_not_repeated_at_length(filling: bytes) -> None:
    """It would stand in the log's events, in the words of a receiver."""
    with answering(b"SSH-2.0-" + 20_000 * filling + b"\r\n\r\n") as url:
        trouble = sent(url).trouble
    assert trouble is not None
    assert trouble.startswith("RemoteProtocolError: illegal status line")
    assert len(trouble) <= LONGEST_TROUBLE
