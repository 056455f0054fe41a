"""What a command costs: its time over HTTP, the time until its writer sees it, the transactions."""

import http.client
import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import psycopg

from adapters.settings import Runtime, read_runtime
from benchmarks.calls import quantiles
from benchmarks.database import copy_prepared
from benchmarks.measurements import Measurement
from benchmarks.operations.start import await_ready
from benchmarks.processes import data_folder, stemma
from benchmarks.quiet import repeat
from cli.client import authorization

COMMANDS, QUICK_COMMANDS = 150, 5
PAUSE_SECONDS = 0.006
SETTLE_SECONDS, QUICK_SETTLE_SECONDS = 3.0, 0.5

_COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


def run(quick: bool) -> list[Measurement]:
    """One client that makes projects, one after the other, with all services running."""
    commands = QUICK_COMMANDS if quick else COMMANDS
    settle = QUICK_SETTLE_SECONDS if quick else SETTLE_SECONDS
    with data_folder() as folder:
        copy_prepared(folder)
        log = folder / "up.log"
        with stemma("up", log=log, settings={"STEMMA_DATA": str(folder)}) as process:
            await_ready(process, log)
            runtime = read_runtime(folder)
            assert runtime is not None
            client = _Client(runtime)
            client.sent(commands)
            done = repeat(
                1 if quick else 5, lambda: client.measure(commands, settle), spare=0 if quick else 3
            )
    posts, visible, transactions = zip(*done.results, strict=True)
    return [
        *quantiles("a command over HTTP", posts, done.others),
        *quantiles("a command until its writer sees it", visible, done.others),
        Measurement(
            what="transactions that a command causes in all services",
            unit="",
            ours=transactions,
            others=done.others,
        ),
    ]


class _Client:
    def __init__(self, runtime: Runtime) -> None:
        url = urlsplit(runtime.api_url)
        assert url.hostname is not None
        self._http = http.client.HTTPConnection(url.hostname, url.port)
        self._headers = authorization(runtime.api_key or "") | {"Content-Type": "application/json"}
        self._database = psycopg.connect(runtime.database_admin_url, autocommit=True)

    def measure(self, commands: int, settle: float) -> tuple[list[float], list[float], float]:
        """Milliseconds of each command, and until each is seen, and transactions a command."""
        before = self._committed()
        time.sleep(settle)
        rate = (self._committed() - before) / settle
        before, began = self._committed(), time.monotonic()
        posts = self.sent(commands)
        time.sleep(settle)
        caused = self._committed() - before - rate * (time.monotonic() - began)
        return posts, self.sent(commands, seen=True), caused / commands

    def sent(self, commands: int, *, seen: bool = False) -> list[float]:
        times = []
        for number in range(commands):
            began = time.perf_counter()
            answer = self._call("POST", "projects", {"name": f"project {number}"})
            if seen:
                self._call("GET", f"projects/{answer['id']}?at_least={answer['position']}")
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_SECONDS)
        return times

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        headers = self._headers | {"Idempotency-Key": str(uuid.uuid4())}
        content = None if body is None else json.dumps(body)
        self._http.request(method, f"/api/v1/{path}", content, headers)
        response = self._http.getresponse()
        answer: dict[str, Any] = json.load(response)
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer

    def _committed(self) -> int:
        row = self._database.execute(_COMMITTED).fetchone()
        assert row is not None
        return int(row[0])
