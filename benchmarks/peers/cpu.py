"""The CPU time of a system's processes, by what they are."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.processes import tree

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_BY_COMMAND = {
    "postgres": "PostgreSQL",
    "nats-server": "NATS",
    " api ": "the API",
    " parts ": "services",
}
"""What a command line has, and what such a process is called."""


def cpu_of(root: int) -> Mapping[str, float]:
    """Seconds of CPU of a process' descendants since they began, by what they are."""
    spent: dict[str, float] = defaultdict(float)
    for pid in tree(root):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            name = next((name for part, name in _BY_COMMAND.items() if part in command), None)
            # proc(5): `pid (name) state ...`, from the 14th: utime stime.
            _, _, tail = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")
            if name is not None:
                spent[name] += sum(map(int, tail.split()[11:13])) * _TICK_SECONDS
    return spent
