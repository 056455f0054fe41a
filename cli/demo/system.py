"""What a demo runs on: the `stemma up` of the data folder, or one that it starts."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from adapters.processes.processes import spawn
from adapters.servers.embedded import FolderInUse, is_held, log_tail
from adapters.settings import LOCK_FILE, Runtime, load_settings, read_runtime
from cli.client import ApiClient, ApiProblem, ApiUnreachable
from cli.operations.demo_lock import living_demo
from cli.operations.up import wait_ready

START_SECONDS = 120.0


@contextmanager
def demo_system(say: Callable[[str], None], *, keep: bool) -> Iterator[tuple[ApiClient, Path]]:
    """A client of the system that demos share, and the system's data folder.

    `keep` leaves the system running after the last demo.
    """
    data = load_settings().data
    with living_demo(data, say) as demo:
        api_url, api_key = find_or_start(data, say)
        with ApiClient(api_url, api_key, lambda: is_running(data)) as client:
            yield client, data
        if keep:
            demo.keep_running()


def write_result(file: Path | None, result: msgspec.Struct) -> None:
    """Write what `--json` asks for."""
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def say_stopped(console: Console, problem: ApiProblem) -> None:
    console.print(Text(f"The demo stopped: {problem}", "red"), soft_wrap=True)
    if isinstance(problem, ApiUnreachable):
        console.print("`stemma up` continues its training.")


def find_or_start(data: Path, say: Callable[[str], None]) -> tuple[str, str]:
    """The API's address and a key, of the system that runs on a data folder or is started there.

    Of several that start one at once, one succeeds, and it serves all of them.
    """
    log = data / "logs" / "up.log"
    begin = log.stat().st_size if log.exists() else 0
    up: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_running(data):
            runtime = read_runtime(data)
            if runtime is not None and wait_ready(runtime.api_url, 1):
                if up is None:
                    say(f"Using the running system at {runtime.api_url}")
                return runtime.api_url, _key(runtime)
        elif up is None or up.poll() == FolderInUse.exit_status:
            say(f"Starting PostgreSQL, NATS, the services and a worker in {data}")
            argv = [sys.executable, "-m", "cli.main", "up", "--until-demos-end"]
            up = spawn(argv, log=log, death_signal=None)
        elif up.returncode is not None:
            break
        time.sleep(0.05)
    raise ApiProblem(f"the services did not start; {log} ends with:\n{log_tail(log, begin)}")


def is_running(data: Path) -> bool:
    """Whether a `stemma up` owns a data folder."""
    return is_held(data / LOCK_FILE)


def _key(runtime: Runtime) -> str:
    key = os.environ.get("STEMMA_API_KEY") or runtime.api_key
    if key is None:
        raise ApiProblem("the demo needs a key of the API: give it in STEMMA_API_KEY")
    return key
