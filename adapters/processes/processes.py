"""Child processes: they log to a file, end when their parent ends, and are stopped with escalating
signals."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LOG_KEPT_BYTES = 10_000_000
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Steps = Sequence[tuple[signal.Signals, float]]
"""Signals in the order to send them, each with the seconds to wait after it."""


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    death_signal: signal.Signals | None = signal.SIGTERM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, and append its output to `log`.

    In the same session, Ctrl-C in a terminal would reach every child at once and end them in no
    order. The child gets `death_signal` when this process ends; without one it outlives it. `user`
    is the uid, and gid, of the child.
    """
    tie = _die_with_parent(death_signal) if death_signal and can_die_with_parent() else None
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            # Safe with threads: the hook calls prctl, getppid and _exit, and takes no lock.
            preexec_fn=tie,  # noqa: PLW1509
        )


def can_die_with_parent() -> bool:
    """Whether a child can be killed when its parent dies: on Linux, and from the main thread only.

    Linux watches the *thread* that forked: when another thread ends, its child would be killed
    while the process is still alive (prctl(2), PR_SET_PDEATHSIG).
    """
    return _LIBC is not None and threading.current_thread() is threading.main_thread()


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def set_death_signal() -> None:
        assert _LIBC is not None
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def stop_by_degrees(process: subprocess.Popen[bytes], steps: Steps) -> None:
    """Send each signal in turn until the process has ended; send SIGKILL if it has not."""
    for number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    process.kill()
    process.wait()


def describe_exit(returncode: int | None) -> str:
    """`signal 9` or `exit code 1`."""
    if returncode is None:
        return "still running"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; False if it is not true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def evict(program: str, folder: Path, steps: Steps) -> bool:
    """End the processes of `program` that an earlier owner left in `folder`; True if none is left.

    Signals are sent to those without a parent among them: they end their own children. If a parent
    was killed, its orphans receive the signals.
    """
    for number, seconds in [*steps, (signal.SIGKILL, 5.0)]:
        parents = dict(running_in(program, folder))
        for pid, parent in parents.items():
            if parent not in parents:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        if not parents or wait_until(lambda: not dict(running_in(program, folder)), seconds):
            return True
    return False


def running_in(program: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The processes (pid, parent's pid) of `program` whose working folder is `folder`.

    A pid file is not used: its pid may be that of another program by now.
    """
    if not Path("/proc/self/stat").exists():
        yield from _listed_by_ps(program, folder)
        return
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # proc(5): `pid (name) state parent ...`; the name may contain spaces and brackets.
            head, _, tail = (entry / "stat").read_text(encoding="utf-8").rpartition(")")
            if head.partition("(")[2] == program and _works_in(entry, folder):
                yield int(entry.name), int(tail.split()[1])


def _works_in(entry: Path, folder: Path) -> bool:
    try:
        return (entry / "cwd").samefile(folder)
    except PermissionError:
        # Root without CAP_SYS_PTRACE, as in a container, cannot read it; arguments are public.
        return os.fsencode(folder) in (entry / "cmdline").read_bytes().split(b"\0")


def _listed_by_ps(program: str, folder: Path) -> Iterator[tuple[int, int]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    ).stdout
    for line in listing.splitlines():
        pid, parent, command = line.split(maxsplit=2)
        if program in command and str(folder) in command:
            yield int(pid), int(parent)
