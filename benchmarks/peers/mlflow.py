"""A tracking server of MLflow, from a virtual environment of its own."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from adapters.processes.processes import spawn, stop_by_degrees, wait_until
from benchmarks.peers.raw_http import Client, Refused
from benchmarks.processes import free_port

VERSION = "3.17.2"
WORKERS, QUICK_WORKERS = 4, 1
"""The first is its default."""

_ENVIRONMENT = Path(".bench") / f"mlflow-{VERSION}"
_COMPLETE = _ENVIRONMENT / "complete"
_START_SECONDS = 120.0
_BATCH = 1000
_PARAMETERS = 20
_DATABASE = "mlflow.db"


class Mlflow:
    """A running server, with an experiment."""

    def __init__(self, url: str, experiment_id: str = "") -> None:
        self.url = url
        self.client = Client(url, {})
        self.experiment_id = experiment_id or self._new_experiment()
        self.new_run = self.client.written(
            "POST", "/api/2.0/mlflow/runs/create", {"experiment_id": self.experiment_id}
        )

    def _new_experiment(self) -> str:
        made = self.client.call("POST", "/api/2.0/mlflow/experiments/create", {"name": "benchmark"})
        return str(made["experiment_id"])

    def run(self) -> str:
        """A new run; its id."""
        made = self.client.call(
            "POST", "/api/2.0/mlflow/runs/create", {"experiment_id": self.experiment_id}
        )
        return str(made["run"]["info"]["run_id"])

    def log(self, run_id: str, values: int, parameters: int = 0) -> None:
        """Record values of one metric, and parameters, in requests of as many as it takes."""
        for first in range(0, max(values, 1), _BATCH):
            metrics = [
                {"key": "loss", "value": 1 / (step + 1), "timestamp": step, "step": step}
                for step in range(first, min(first + _BATCH, values))
            ]
            given = [{"key": f"option {n}", "value": str(n)} for n in range(parameters)]
            body = {"run_id": run_id, "metrics": metrics, "params": given if first == 0 else []}
            self.client.call("POST", "/api/2.0/mlflow/runs/log-batch", body)

    def reading_run(self, run_id: str) -> bytes:
        return self.client.written("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")

    def listing(self, count: int) -> bytes:
        return self.client.written(
            "POST",
            "/api/2.0/mlflow/runs/search",
            {"experiment_ids": [self.experiment_id], "max_results": count},
        )

    def history(self, run_id: str, points: int) -> bytes:
        return self.client.written(
            "GET",
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
            f"?run_ids={run_id}&metric_key=loss&max_results={points}",
        )


class Filled(NamedTuple):
    """A database with an experiment and its runs, of which the first has a long history."""

    database: Path
    experiment_id: str
    runs: list[str]


@cache
def filled(runs: int, iterations: int, quick: bool) -> Filled:
    """Made once for all benchmarks of a process."""
    folder = Path(tempfile.mkdtemp(prefix="stemma-bench-"))
    atexit.register(shutil.rmtree, folder)
    with mlflow_server(folder, quick) as mlflow:
        ids = [mlflow.run() for _ in range(runs)]
        for run_id in ids:
            mlflow.log(run_id, values=5, parameters=_PARAMETERS)
        mlflow.log(ids[0], iterations)
    return Filled(folder / _DATABASE, mlflow.experiment_id, ids)


@contextmanager
def mlflow_server(folder: Path, quick: bool, content: Filled | None = None) -> Iterator[Mlflow]:
    """A server on SQLite, which is its quickest store for one machine. A quick one has one worker,
    and none for jobs, which take longer to start than all the rest."""
    if content is not None:
        shutil.copy(content.database, folder / _DATABASE)
    port, workers = free_port(), QUICK_WORKERS if quick else WORKERS
    url, log = f"http://127.0.0.1:{port}", folder / "mlflow.log"
    argv = [
        str(executable("mlflow")),
        "server",
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        *("--backend-store-uri", f"sqlite:///{folder / _DATABASE}"),
        *("--default-artifact-root", str(folder / "artifacts")),
    ]
    # It starts its workers by names that it looks up on the path.
    path = f"{executable('mlflow').parent}{os.pathsep}{os.environ['PATH']}"
    fewer = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} if quick else {}
    process = spawn(argv, log=log, env={**os.environ, **fewer, "PATH": path})
    try:
        if not wait_until(lambda: _answers(url), _START_SECONDS):
            raise RuntimeError(f"MLflow does not answer: {log.read_text(encoding='utf-8')}")
        yield Mlflow(url, "" if content is None else content.experiment_id)
    finally:
        stop_by_degrees(process, [(signal.SIGTERM, 30.0)])


def is_installed() -> bool:
    return _COMPLETE.exists()


def _answers(url: str) -> bool:
    try:
        client = Client(url, {})
        client.send(client.written("GET", "/health"))
    except (OSError, Refused):
        time.sleep(0.2)
        return False
    return True


def executable(name: str) -> Path:
    """A program of the environment, which is made if it is not there."""
    if not is_installed():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, _ENVIRONMENT], check=True)
        python = _ENVIRONMENT / "bin" / "python"
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", python, f"mlflow=={VERSION}"], check=True
        )
        _COMPLETE.touch()
    return (_ENVIRONMENT / "bin" / name).absolute()
