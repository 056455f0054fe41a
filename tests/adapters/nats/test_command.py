"""`stemma nats`: users come and go on a server that runs; TLS; older folders."""

import asyncio
import json
import signal
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import nats
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from nats.aio.client import Client
from nats.js.api import StreamConfig

from adapters.nats.access import CONFIGURATION, NatsAccess
from adapters.nats.jetstream import (
    DOMAIN,
    EVENTS,
    REPORTS,
    connect,
    ensure_streams,
    jetstream,
    make_streams,
    report_subject,
)
from adapters.nats.login import NatsLogin
from adapters.nats.roles import NatsRole
from adapters.processes.processes import spawn, stop_by_degrees, wait_until
from adapters.servers.embedded import LOOPBACK, _free_port
from adapters.servers.nats import EmbeddedNats, _binary
from adapters.settings import SettingsError
from cli.main import main
from stemma_client import Refused
from stemma_client.over_nats import follow_nats
from tests.servers import server_folder
from tests.waiting import HANG_SECONDS

WORKER, SUBSCRIBER, OPERATOR = NatsRole.WORKER, NatsRole.SUBSCRIBER, NatsRole.OPERATOR


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedNats]:
    with server_folder() as folder, EmbeddedNats(folder) as started:
        asyncio.run(make_streams(login(started, OPERATOR)))
        yield started


def login(server: EmbeddedNats, role: NatsRole, name: str = "") -> NatsLogin:
    return NatsLogin(server.address, str(server.access.seed_file(role, name)))


def stemma(server: EmbeddedNats, *arguments: str) -> str:
    environment = {"STEMMA_DATA": str(server.folder.parent)}
    result = CliRunner().invoke(main, ["nats", *arguments], env=environment)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


async def report(client: Client, name: str) -> None:
    await jetstream(client, "seed").publish(report_subject(name, "v1"), b"{}", timeout=HANG_SECONDS)


def test_a_worker_is_added_and_removed_while_another_one_works_on(server: EmbeddedNats) -> None:
    stemma(server, "add", "worker", "stays")

    async def scenario() -> None:
        lost = []

        async def note() -> None:
            lost.append("stays")

        one = login(server, WORKER, "stays")
        stays = await nats.connect(one.url, disconnected_cb=note, **one.options())
        said = await asyncio.to_thread(stemma, server, "add", "worker", "goes", "--queue", "large")
        assert "nats-server uses the new configuration" in said
        cut = asyncio.Event()

        async def is_cut() -> None:
            cut.set()

        two = login(server, WORKER, "goes")
        options = two.options()
        goes = await nats.connect(two.url, disconnected_cb=is_cut, allow_reconnect=False, **options)
        await report(goes, "goes")
        assert "worker goes (queue large)" in await asyncio.to_thread(stemma, server, "list")
        await asyncio.to_thread(stemma, server, "remove", "worker", "goes")
        await asyncio.wait_for(cut.wait(), HANG_SECONDS)
        with pytest.raises(nats.errors.Error, match="Authorization"):
            await nats.connect(two.url, allow_reconnect=False, **options)
        assert not Path(two.seed).exists()
        await report(stays, "stays")
        assert lost == []
        await stays.close()

    asyncio.run(scenario())
    assert "goes" not in stemma(server, "list")


def test_a_subscriber_is_let_in_at_once(server: EmbeddedNats) -> None:
    stemma(server, "add", "subscriber", "billing")

    async def look() -> None:
        client = await connect(login(server, SUBSCRIBER, "billing"), "billing")
        assert (await jetstream(client, "seed").stream_info("EVENTS")).config.name == "EVENTS"
        await client.close()

    asyncio.run(look())


def test_who_follows_the_events_is_told_when_its_seed_is_removed(
    server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemma_client.over_nats.LOOK_SECONDS", 0.5)
    stemma(server, "add", "subscriber", "leaving")
    one = login(server, SUBSCRIBER, "leaving")

    async def scenario() -> None:
        events = follow_nats(one.url, domain=DOMAIN, **one.options())
        following = asyncio.ensure_future(anext(events))
        watcher = await connect(login(server, OPERATOR), "watcher")
        async with asyncio.timeout(HANG_SECONDS):
            while not await watcher.jetstream().consumers_info(EVENTS):
                await asyncio.sleep(0.02)
            await asyncio.to_thread(stemma, server, "remove", "subscriber", "leaving")
            with pytest.raises(Refused, match="wrong or revoked"):
                await following
        await watcher.close()

    asyncio.run(scenario())


def test_a_seed_is_for_its_owner_and_in_no_other_file(server: EmbeddedNats) -> None:
    server.access.add(WORKER, "secretive")
    seeds = list(server.access.folder.rglob("*.seed"))
    assert {seed.stem for seed in seeds} >= {"operator", "backend", "api", "secretive"}
    for seed in seeds:
        assert stat.S_IMODE(seed.stat().st_mode) == 0o600
        text = seed.read_bytes().strip()
        holders = [
            path
            for path in server.folder.parent.rglob("*")
            if path.is_file() and text in path.read_bytes()
        ]
        assert holders == [seed]


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "x" * 65, "é", "../up"])
def test_what_is_no_name_is_refused(server: EmbeddedNats, name: str) -> None:
    for arguments in (["worker", name], ["worker", "fine", "--queue", name]):
        with pytest.raises(SettingsError, match="letters, digits"):
            stemma(server, "add", *arguments)


def test_nobody_is_added_twice_or_removed_who_is_not_there(server: EmbeddedNats) -> None:
    stemma(server, "add", "worker", "twin")
    seed = server.access.seed_file(WORKER, "twin").read_text()
    with pytest.raises(SettingsError, match="worker twin already"):
        stemma(server, "add", "worker", "twin")
    assert server.access.seed_file(WORKER, "twin").read_text() == seed
    with pytest.raises(SettingsError, match="subscriber twin not found"):
        stemma(server, "remove", "subscriber", "twin")


def test_what_was_made_stays_when_it_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    arguments = ["nats", "init", "--worker", "gpu1", "--folder", str(folder)]
    held = []
    for queue in ("small", "large"):
        made = CliRunner().invoke(main, [*arguments, "--queue", queue])
        assert made.exit_code == 0, made.output
        held.append({seed: seed.read_text() for seed in folder.rglob("*.seed")})
    assert held[0] == held[1]
    assert [user.queue for user in NatsAccess(folder).users() if user.role == WORKER] == ["large"]


@pytest.mark.parametrize("content", ["", "SUABC", "\xff"])
def test_what_is_no_seed_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "seed"
    file.write_text(content, encoding="latin-1")
    file.chmod(0o600)
    with pytest.raises(SettingsError, match=r"STEMMA_NATS_SEED: no seed can be read from .*seed"):
        NatsLogin("nats://here", str(file)).options()


def test_a_seed_that_others_can_read_is_not_used(server: EmbeddedNats, tmp_path: Path) -> None:
    file = tmp_path / "seed"
    file.write_bytes(server.access.seed_file(OPERATOR).read_bytes())
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        NatsLogin("nats://here", str(file)).options()


class Authority:
    """A CA of the test's own, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test CA")])
        self.certificate = folder / "ca.pem"
        signed = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(True, None))
        self.certificate.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """The paths of a certificate for this machine, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))])
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key.public_key(), here).public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(files[0]), str(files[1])

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@contextmanager
def running(configuration: Path, port: int, folder: Path) -> Iterator[None]:
    """A nats-server as somebody else would run it."""
    log = folder / "server.log"
    values = {"NATS_LISTEN": f"{LOOPBACK}:{port}", "NATS_STORE": str(folder / "store")}
    environment = {name: json.dumps(value) for name, value in values.items()}
    process = spawn([_binary(), "--config", str(configuration)], log=log, env=environment)
    try:
        assert wait_until(lambda: b"Server is ready" in log.read_bytes(), HANG_SECONDS), (
            log.read_text()
        )
        yield
    finally:
        stop_by_degrees(process, [(signal.SIGTERM, 5.0)])


def test_tls_on_both_sides(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificate, key = ours.issue("server")
    folder = tmp_path / "access"
    options = ["--tls-certificate", certificate, "--tls-key", key, "--tls-client-ca"]
    arguments = ["nats", "init", "--folder", str(folder), *options, str(ours.certificate)]
    made = CliRunner().invoke(main, arguments)
    assert made.exit_code == 0, made.output
    access = NatsAccess(folder)
    port = _free_port()
    seed = str(access.seed_file(OPERATOR))
    mine, foreign = ours.issue("client"), theirs.issue("client")
    good = NatsLogin(f"tls://{LOOPBACK}:{port}", seed, str(ours.certificate), *mine)

    async def try_out() -> None:
        await make_streams(good)
        for bad in (
            NatsLogin(good.url, seed, str(theirs.certificate), *mine),
            NatsLogin(good.url, seed, str(ours.certificate), *foreign),
            NatsLogin(good.url, seed, str(ours.certificate)),
        ):
            with pytest.raises((nats.errors.Error, ssl.SSLError, OSError)):
                await nats.connect(
                    bad.url, allow_reconnect=False, max_reconnect_attempts=0, **bad.options()
                )

    with running(access.configuration, port, tmp_path):
        asyncio.run(try_out())


def test_tls_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"STEMMA_NATS_CA '.*nowhere\.pem'"):
        NatsLogin("tls://here", ca=str(tmp_path / "nowhere.pem")).options()


def test_streams_of_a_server_that_knew_no_accounts_are_taken_over(tmp_path: Path) -> None:
    """What lies on the old subject of the reports is still there."""
    folder = tmp_path / "nats"
    (folder / "store").mkdir(parents=True)
    plain = tmp_path / "plain.conf"
    plain.write_text(CONFIGURATION.read_text().replace('include "access.conf"', ""))
    port = _free_port()

    async def fill() -> None:
        client = await connect(f"nats://{LOOPBACK}:{port}", "old")
        await client.jetstream().add_stream(StreamConfig(REPORTS, subjects=["stemma.reports.*"]))
        await client.jetstream().publish("stemma.reports.v1", b"old")
        await client.close()

    with running(plain, port, folder):
        asyncio.run(fill())

    async def look(url: str) -> tuple[str, bytes | None]:
        client = await connect(url, "new")
        js = client.jetstream()
        await ensure_streams(js)
        found = await js.get_msg(REPORTS, 1)
        await client.close()
        return str(found.subject), found.data

    for _ in range(2):
        with EmbeddedNats(tmp_path) as server:
            assert asyncio.run(look(server.url)) == ("stemma.reports.v1", b"old")
