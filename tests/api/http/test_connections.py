"""Limits of connections: who sends too slowly, or holds too many, makes room for others."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from adapters.processes.file_limit import raise_file_limit
from adapters.servers.postgres import EmbeddedPostgres
from api.http import admission, connections
from api.http.addresses import Proxies
from api.http.admission import Admission
from tests.adapters.subscriptions.webhooks.test_addresses import certificate_for
from tests.api.conftest import FILES, serving, settings_at
from tests.api.scene import KEY, Scene
from tests.servers import new_database
from tests.waiting import HANG_SECONDS

PER_ADDRESS = 30
HALF_OPEN = 1200
BEGUN = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: "
UPLOAD = (
    b"POST /api/v1/projects HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + KEY.encode() + b"\r\nContent-Length: 900000\r\n\r\n"
)


@pytest.fixture(scope="module")
def crowded(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("crowded")
    with (
        new_database(postgres, migrated_template) as database,
        serving(settings_at(database, folder, connections=PER_ADDRESS)) as scene,
    ):
        yield scene


@contextmanager
def connected(site: Scene, sent: bytes = b"", source: str = "127.0.0.1") -> Iterator[socket.socket]:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection(
        (host, int(port)), timeout=HANG_SECONDS, source_address=(source, 0)
    ) as connection:
        connection.sendall(sent)
        yield connection


def ends(connection: socket.socket) -> bool:
    """Wait until the server closes the connection, whatever it sends before."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


@pytest.mark.parametrize(
    "sent", [b"", b"G", BEGUN, b"\r\n", b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_head_that_does_not_come_is_cut_off(
    crowded: Scene, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with connected(crowded, sent) as connection:
        if sent.endswith(b"\r\n\r\n"):
            # Between two requests there is more time; of the second one only a line comes.
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(b"\r\n")
        assert ends(connection)


def test_a_head_that_dribbles_is_cut_off(crowded: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    stop = threading.Event()
    with connected(crowded, BEGUN) as connection:

        def dribble() -> None:
            with suppress(OSError):
                while not stop.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            assert ends(connection)
        finally:
            stop.set()
            thread.join()


def test_a_body_that_does_not_come_is_cut_off(
    crowded: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.2)
    with connected(crowded, UPLOAD + b'{"name": "') as connection:
        assert ends(connection)


def test_a_body_that_comes_slowly_but_comes_is_received(
    crowded: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_BYTES", 1)
    body = b'{"name": "' + b"x" * 100 + b'"}'
    head = UPLOAD.replace(b"900000", str(len(body)).encode())
    pause = threading.Event()
    with connected(crowded, head) as connection:
        for byte in body:
            connection.sendall(bytes([byte]))
            pause.wait(0.01)
        assert connection.recv(65536).startswith(b"HTTP/1.1 201")


def test_a_handshake_of_tls_that_does_not_come_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TLS_SECONDS", 0.2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_for("localhost", tmp_path))

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            async with asyncio.timeout(HANG_SECONDS):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()

    with asyncio.Runner(loop_factory=connections.Loop) as runner:
        runner.run(serve())


def test_half_open_connections_make_room_for_those_that_ask(
    crowded: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    raise_file_limit(4 * HALF_OPEN)
    with ExitStack() as stack, caplog.at_level(logging.WARNING, admission.__name__):
        first = stack.enter_context(connected(crowded, BEGUN))
        kept = stack.enter_context(httpx.HTTPTransport(local_address="127.0.0.3"))
        asking = httpx.Client(transport=kept, timeout=HANG_SECONDS)
        asking.get(f"{crowded.url}/health/live").raise_for_status()
        (mine,) = (one for one in connections_of(crowded) if one.startswith("0300007F"))
        for number in range(HALF_OPEN):
            stack.enter_context(connected(crowded, BEGUN, source=f"127.0.0.{2 + number % 20}"))
            if number % 100 == 0:
                # From an address that holds as many as it may, and one that holds none.
                for client in ("127.0.0.2", "127.0.0.99"):
                    transport = httpx.HTTPTransport(local_address=client)
                    with httpx.Client(transport=transport, timeout=HANG_SECONDS) as other:
                        assert other.get(f"{crowded.url}/health/live").is_success
        assert mine in connections_of(crowded), "it was served, so it stays"
        assert asking.get(f"{crowded.url}/health/live").is_success
        assert len(connections_of(crowded)) <= FILES - connections.RESERVED_FILES
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(1)  # of an address that holds few, it is left alone
    assert any("STEMMA_CONNECTIONS" in record.message for record in caplog.records)


def connections_of(site: Scene) -> list[str]:
    """The client sides of the server's connections, as the kernel has them."""
    port = int(site.url.rsplit(":", 1)[1])
    local = f"{port:04X}"
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    rows = [line.split() for line in table.splitlines()[1:]]
    return [row[2] for row in rows if row[1].endswith(f":{local}") and row[3] == "01"]


class Held:
    """A connection that is counted; whether it was cut."""

    is_cut = False

    def cut(self) -> None:
        self.is_cut = True


def test_the_one_that_waited_longest_is_closed_and_none_that_works() -> None:
    counted = Admission(2, 0, Proxies(""))
    working, waiting = Held(), Held()
    assert counted.admit(working, "192.0.2.1")
    counted.works(working)
    assert counted.admit(waiting, "192.0.2.1")
    newest = Held()
    assert counted.admit(newest, "192.0.2.1")
    assert (working.is_cut, waiting.is_cut, newest.is_cut) == (False, True, False)
    counted.works(newest)
    assert not counted.admit(Held(), "192.0.2.1"), "all of its connections work"
    assert counted.admit(Held(), "192.0.2.2")
    counted.forget(working)
    counted.forget(working)
    assert counted.admit(Held(), "192.0.2.1")
    assert len(counted) == 3


def test_one_that_was_served_stays_longer_than_those_that_asked_for_nothing() -> None:
    counted = Admission(3, 0, Proxies(""))
    served, idle, newest = Held(), Held(), Held()
    assert counted.admit(served, "192.0.2.1")
    counted.works(served)
    counted.waits(served)
    assert all(counted.admit(one, "192.0.2.1") for one in (idle, newest, Held()))
    assert (served.is_cut, idle.is_cut, newest.is_cut) == (False, True, False)


def test_all_addresses_together_stay_below_the_limit_of_files() -> None:
    counted = Admission(0, 3, Proxies(""))
    held = [Held() for _ in range(5)]
    assert all(counted.admit(one, f"192.0.2.{number}") for number, one in enumerate(held))
    assert [one.is_cut for one in held] == [True, True, False, False, False]
    assert len(counted) == 3


@pytest.mark.parametrize("listed", ["*", "192.0.2.1", "10.0.0.1, 192.0.2.0/24", "::1,192.0.2.1"])
def test_a_trusted_proxy_holds_the_connections_of_all(listed: str) -> None:
    counted = Admission(1, 0, Proxies(listed))
    proxied = [Held() for _ in range(3)]
    assert all(counted.admit(one, "192.0.2.1") for one in proxied)
    assert not any(one.is_cut for one in proxied)


def test_networks_of_ipv6_count_as_one_client() -> None:
    counted = Admission(1, 0, Proxies(""))
    first, second = Held(), Held()
    assert counted.admit(first, "2001:db8::1")
    assert counted.admit(second, "2001:db8::2")
    assert first.is_cut
