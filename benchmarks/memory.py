"""Memory of processes on Linux (proc(5))."""

from collections.abc import Iterable
from pathlib import Path

MEBIBYTE = 1 << 20


def memory_of(pids: Iterable[int]) -> tuple[float, float]:
    """PSS and RSS in MiB, summed over processes, without those that have ended."""
    sums = {"Pss": 0, "Rss": 0}
    for pid in pids:
        for name, value in _kibibytes(pid, "smaps_rollup").items():
            if name in sums:
                sums[name] += value * 1024
    return sums["Pss"] / MEBIBYTE, sums["Rss"] / MEBIBYTE


def peak(pid: int | str = "self") -> float:
    """The peak RSS of a process in MiB; 0 if it has ended.

    getrusage(2) would include the RSS of the parent process at the fork.
    """
    return _kibibytes(pid, "status").get("VmHWM", 0) * 1024 / MEBIBYTE


def read_proc(pid: int | str, name: str) -> str:
    """A file of a process; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kibibytes(pid: int | str, name: str) -> dict[str, int]:
    """The values of lines such as `Pss:  1234 kB` in a file."""
    pairs = (line.partition(":") for line in read_proc(pid, name).splitlines())
    return {key: int(value.split()[0]) for key, _, value in pairs if value.endswith(" kB")}
