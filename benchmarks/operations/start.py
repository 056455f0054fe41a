"""`stemma up`: the time from its start until it is ready, and the memory of its idle processes."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from adapters.processes.processes import wait_until
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import memory_of, read_proc
from benchmarks.processes import data_folder, stemma, tree
from benchmarks.quiet import Repetitions, repeat

READY = re.compile(r"stemma: ready in .* at (\S+)")
READY_SECONDS = 120.0
SETTLE_SECONDS, QUICK_SETTLE_SECONDS, SETTLE_AT_MOST = 2.0, 0.1, 30.0


def run(quick: bool) -> list[Measurement]:
    """Starts of a data folder that was started before, and memory when it is stable."""
    settle_seconds = QUICK_SETTLE_SECONDS if quick else SETTLE_SECONDS
    with data_folder() as folder:
        log = folder / "up.log"
        if not quick:
            _start(folder, log, lambda _: None)  # makes the clusters and compiles Python files

        def measure() -> tuple[float, float, float, int]:
            idle: list[tuple[float, float, int]] = []
            seconds = _start(
                folder, log, lambda pid: idle.append(_idle_memory(pid, settle_seconds))
            )
            return (seconds, *idle[0])

        done = repeat(1 if quick else 5, measure, spare=0 if quick else 3)
    return _measurements(done)


def _measurements(done: Repetitions[tuple[float, float, float, int]]) -> list[Measurement]:
    seconds, pss, rss, torch = zip(*done.results, strict=True)
    return [
        Measurement(
            what="stemma up, once initialised: until ready",
            unit="s",
            ours=seconds,
            expected=Expected(5),
            others=done.others,
        ),
        Measurement(
            what="memory of all its processes when idle (PSS)",
            unit="MiB",
            ours=pss,
            expected=Expected(400),
            others=done.others,
        ),
        Measurement(
            what="the same, shared pages counted for each (RSS)",
            unit="MiB",
            ours=rss,
            others=done.others,
        ),
        Measurement(
            what="processes of them that have torch loaded",
            unit="",
            ours=tuple(float(count) for count in torch),
            expected=Expected(0),
            others=done.others,
        ),
    ]


def _start(folder: Path, log: Path, measure: Callable[[int], None]) -> float:
    """Seconds from the spawn until `up` reports, after a request to the API, that all is ready."""
    begin = log.stat().st_size if log.exists() else 0
    began = time.perf_counter()
    with stemma("up", log=log, settings={"STEMMA_DATA": str(folder)}) as process:
        await_ready(process, log, begin)
        seconds = time.perf_counter() - began
        measure(process.pid)
    return seconds


def await_ready(process: "subprocess.Popen[bytes]", log: Path, begin: int = 0) -> str:
    """Wait for the line in the log, after byte `begin`, that `up` is ready; return the API's
    URL."""
    urls: list[str] = []

    def ready() -> bool:
        line = READY.search(log.read_text(encoding="utf-8")[begin:])
        if line is not None:
            urls.append(line[1])
        return line is not None or process.poll() is not None

    if not wait_until(ready, READY_SECONDS) or not urls:
        raise RuntimeError(f"stemma up is not ready: {log.read_text(encoding='utf-8')[begin:]}")
    return urls[0]


def _idle_memory(root: int, settle_seconds: float) -> tuple[float, float, int]:
    """PSS and RSS in MiB of a process tree, once they are stable; and its number of processes with
    torch."""
    deadline = time.monotonic() + SETTLE_AT_MOST
    before = (0.0, 0.0)
    while True:
        time.sleep(settle_seconds)
        now = memory_of(tree(root))
        stable = abs(now[0] - before[0]) < 0.01 * now[0]
        if stable or time.monotonic() > deadline:
            torch = sum("libtorch" in read_proc(pid, "maps") for pid in tree(root))
            return (*now, torch)
        before = now
