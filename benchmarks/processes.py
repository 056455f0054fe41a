"""The product's processes, started in a folder of the benchmark."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.processes.processes import spawn, stop_by_degrees


@contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary data folder. TMPDIR sets its location, which determines the cost of fsync."""
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as folder:
        yield Path(folder)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of another Stemma, and with compiled Python
    files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STEMMA_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **settings}


@contextmanager
def stemma(
    *arguments: str, log: Path, settings: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A `stemma` command that runs until the block ends."""
    argv = [sys.executable, "-m", "cli.main", *arguments]
    process = spawn(argv, log=log, env=environment(settings))
    try:
        yield process
    finally:
        stop_by_degrees(process, [(signal.SIGTERM, 30.0)])


def tree_of_this_process() -> set[int]:
    return tree(os.getpid())


def tree(root: int) -> set[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                _, _, tail = (entry / "stat").read_text().rpartition(")")
                children.setdefault(int(tail.split()[1]), []).append(int(entry.name))
    pids: set[int] = set()
    pending = [root]
    while pending:
        pid = pending.pop()
        pids.add(pid)
        pending += children.get(pid, [])
    return pids


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
