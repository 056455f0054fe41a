"""Memory of processes, as Linux counts it (proc(5))."""

from collections.abc import Iterable
from pathlib import Path

MEBIBYTE = 1 << 20


def memory_of(pids: Iterable[int]) -> tuple[float, float]:
    """PSS and RSS in MiB, summed over processes; those that have ended count for nothing."""
    sums = {"Pss": 0, "Rss": 0}
    for pid in pids:
        for name, value in _kibibytes(pid, "smaps_rollup").items():
            if name in sums:
                sums[name] += value * 1024
    return sums["Pss"] / MEBIBYTE, sums["Rss"] / MEBIBYTE


def peak(pid: int | str = "self") -> float:
    """The most MiB that were resident of a process, ever; 0 if it has ended.

    getrusage(2) would name at least what the process had that started this one.
    """
    return _kibibytes(pid, "status").get("VmHWM", 0) * 1024 / MEBIBYTE


def read_proc(pid: int | str, name: str) -> str:
    """A file of a process; nothing, if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kibibytes(pid: int | str, name: str) -> dict[str, int]:
    """The lines such as `Pss:  1234 kB` of a file."""
    pairs = (line.partition(":") for line in read_proc(pid, name).splitlines())
    return {key: int(value.split()[0]) for key, _, value in pairs if value.endswith(" kB")}
