"""A file system of some megabytes, to be filled and freed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, leave: int = 0) -> None:
        """Take all the space that is left, but for some bytes."""
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (1_000_000, 4096, 1):
                self._append(file, size)
            os.ftruncate(file, max(os.fstat(file).st_size - leave, 0))
        finally:
            os.close(file)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink()

    @staticmethod
    def _append(file: int, size: int) -> None:
        block = bytes(size)
        try:
            while True:
                os.write(file, block)
        except OSError:
            return


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk mounted on a folder; the test is skipped where that is not allowed."""
    mount = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={megabytes}m,mode=0711",
        "stemma-test",
        str(folder),
    ]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small file system needs the program `mount`")
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that is being killed may still have files open.
        subprocess.run(["umount", "--lazy", folder], check=True)
