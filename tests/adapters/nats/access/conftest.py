"""The server of the tests of NATS' roles."""

import asyncio
from collections.abc import Iterator

import pytest

from adapters.nats.jetstream import make_streams
from adapters.servers.nats import EmbeddedNats
from tests.adapters.nats.access.lab import OPERATOR, SUBSCRIBER, WORKER, Lab, fill
from tests.servers import server_folder


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A server with two workers and two subscribers, and something in each stream."""
    with server_folder() as folder:
        server = EmbeddedNats(folder)
        for role in (WORKER, SUBSCRIBER):
            for name in ("mine", "other"):
                server.access.add(role, name)
        with server:
            made = Lab(server)
            asyncio.run(make_streams(made.login(OPERATOR)))
            made.run(OPERATOR, fill)
            yield made
