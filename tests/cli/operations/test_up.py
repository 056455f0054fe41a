"""Which processes `stemma up` runs, and what it tells each."""

import socket
import subprocess
from pathlib import Path
from socket import AF_INET6

import click
import pytest

from adapters.servers.embedded import LOOPBACK
from adapters.services import SERVICES
from adapters.settings import Settings
from cli.operations import api_port
from cli.operations.api_port import claimed_port
from cli.operations.up import metrics_port, processes, stop_running
from tests.servers import port_of_its_own


@pytest.mark.parametrize(
    ("separate", "names"),
    [(False, ["backend", "worker", "api"]), (True, [*SERVICES, "worker", "api"])],
)
def test_processes_have_ports_that_follow_on_each_other(separate: bool, names: list[str]) -> None:
    settings = Settings(data=Path(), metrics_port=9100)
    found = {
        name: metrics_port(settings, place)["STEMMA_METRICS_PORT"]
        for place, (name, _) in enumerate(processes(separate))
    }
    assert found == {name: str(9100 + place) for place, name in enumerate(names)}


def test_without_a_port_none_is_told() -> None:
    assert metrics_port(Settings(data=Path()), 3) == {}


def test_systems_that_start_at_once_choose_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    default = port_of_its_own()
    monkeypatch.setattr(api_port, "DEFAULT_PORT", default)
    with (
        claimed_port(LOOPBACK, None) as first,
        claimed_port(LOOPBACK, None) as second,
        socket.create_server((LOOPBACK, first)),
        socket.create_server((LOOPBACK, second)),
    ):
        assert first == default != second
        with claimed_port(LOOPBACK, None) as third:
            assert third not in (first, second)
    with claimed_port(LOOPBACK, None) as again:
        assert again == default


def test_a_port_that_is_wanted_and_taken_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(click.ClickException, match=f"port {port} is in use"):
            claimed_port(LOOPBACK, port).__enter__()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_here_is_refused(host: str) -> None:
    with pytest.raises(click.ClickException, match=f"cannot listen on {host} .*STEMMA_API_HOST"):
        claimed_port(host, None).__enter__()


def test_an_address_of_ipv6_has_ports_too() -> None:
    try:
        socket.create_server(("::1", 0), family=AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no loopback of IPv6: {error}")
    with claimed_port("::1", None) as port, socket.create_server(("::1", port), family=AF_INET6):
        assert port > 0


def test_a_process_with_the_pid_of_an_earlier_owner_is_not_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "600"]) as innocent:
        try:
            (tmp_path / "lock").write_text(f"{innocent.pid}\n")
            stop_running(tmp_path)
            assert "nothing is running" in capsys.readouterr().out
            assert innocent.poll() is None
        finally:
            innocent.kill()
