"""`stemma up` where it is unusual: it starts, or says in one line why not, and ends."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from adapters.servers.postgres import NOBODY, _setpriv_prefix
from adapters.settings import read_runtime
from tests.servers import port_of_its_own, server_folder
from tests.system.system import eventually
from tests.waiting import HANG_SECONDS

UP = [sys.executable, "-m", "cli.main", "up"]
ROOT = Path(__file__).parents[2]
ODD = 'dätä 数据 it\'s "quoted" #1 50% $HOME {x}'

IPV6_ONLY = "ip link set lo up && ip -4 address flush dev lo && "
"""Of a shell in a network namespace of its own, in which there is only a loopback interface."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as folder:
        yield Path(folder)


def isolated(prepare: str, command: Sequence[str]) -> list[str]:
    """A command in a network namespace of its own; skips the test where none can be made."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "-r", "--net"]
    if shutil.which("ip") is None:
        pytest.skip("the program `ip` is not installed")
    try:
        tried = subprocess.run(
            [*unshare, "sh", "-c", f"{prepare}true"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("the program `unshare` is not installed")
    if tried.returncode:
        pytest.skip(f"a network namespace cannot be made here: {tried.stderr.strip()}")
    return [*unshare, "sh", "-c", f'{prepare}exec "$@"', "sh", *command]


@pytest.mark.parametrize(
    ("prepare", "host", "why"),
    [
        ("", "127.0.0.1", "bring the loopback interface up"),
        (IPV6_ONLY, "127.0.0.1", "the API cannot listen on 127.0.0.1"),
        (IPV6_ONLY, "::1", "PostgreSQL and NATS listen on 127.0.0.1, which cannot be used here"),
    ],
    ids=["no network", "only IPv6", "only IPv6, and the API on it"],
)
def test_a_machine_without_ipv4_is_told_in_a_line(
    folder: Path, prepare: str, host: str, why: str
) -> None:
    environment = os.environ | {"STEMMA_DATA": str(folder), "STEMMA_API_HOST": host}
    done = subprocess.run(
        isolated(prepare, UP),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode in (1, 2)
    (line,) = done.stderr.splitlines()
    assert why in line


def ordinary_user(folder: Path) -> list[str]:
    """What begins a command of a user without rights, who owns the folder."""
    if os.geteuid() != 0:
        return []
    os.chown(folder, NOBODY, NOBODY)
    # With one capability of root: a clone below a folder of root's could not be entered otherwise.
    return _setpriv_prefix(NOBODY, Path(sys.executable).resolve(), "TERM")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_ordinary_user_starts_it_under_a_proxy_in_an_odd_folder(folder: Path, host: str) -> None:
    data = folder / ODD
    data.mkdir()
    nowhere = f"http://127.0.0.1:{port_of_its_own()}"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
    proxies |= {name.lower(): nowhere for name in proxies} | {"NO_PROXY": "", "no_proxy": ""}
    environment = os.environ | proxies | {"STEMMA_DATA": str(data), "STEMMA_API_HOST": host}
    user = ordinary_user(data)
    with (folder / "up.log").open("wb") as log:
        argv = [*user, *UP, "--port", str(port_of_its_own())]
        up = subprocess.Popen(argv, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        eventually(lambda: "stemma: ready in" in said(folder) or up.poll() is not None, "it ends")
        assert up.poll() is None, said(folder)
        runtime = read_runtime(data)
        assert runtime is not None
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"{runtime.api_url}/health/ready").json()["status"] == "ok"
        status = subprocess.run(
            [*user, sys.executable, "-m", "cli.main", "accounts", "list"],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert status.returncode == 0, status.stderr
        assert "administrator" in status.stdout
    finally:
        up.terminate()
        up.wait(HANG_SECONDS)


def said(folder: Path) -> str:
    return (folder / "up.log").read_text(encoding="utf-8")
