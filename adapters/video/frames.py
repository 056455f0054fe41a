"""The frames of an untrusted video, decoded in a process with limited memory (decision 0040)."""

import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from adapters.video.messages import Report, Task
from domain.errors import Invalid

MOST_SECONDS = 6 * 3600.0
MOST_FRAMES = 100_000
MOST_PIXELS = 8192 * 4320
STALLED_SECONDS = 120.0
"""A process that says nothing for so long is ended."""

_MEMORY = (512 << 20) + 48 * MOST_PIXELS
"""Enough for the sixteen frames that H.264 refers to."""

_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"}
"""Brands of ISO files that are images (ISO/IEC 23008-12)."""


class VideoLimits(msgspec.Struct, frozen=True):
    """The most of a video that is taken."""

    pixels: int
    frames: int
    bytes: int


def container_of(path: Path) -> str | None:
    """FFmpeg's name of the container that a file begins as; None if it is no video of these."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free"}:
        return None if head[8:12] in _IMAGE_BRANDS else "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    return "matroska" if head[:4] == b"\x1a\x45\xdf\xa3" else None


def extract_frames(
    path: Path,
    name: str,
    into: Path,
    rate: float | None,
    limits: VideoLimits,
    show: Callable[[Report], None],
) -> None:
    """Write the frames of a video and their list into a folder: `rate` a second, or without it the
    first of each scene. The same file gives the same frames.

    Raises `Invalid` with what is wrong with the video.
    """
    into.mkdir()
    task = Task(
        source=str(path),
        container=container_of(path) or "mov",
        name=name,
        into=str(into),
        rate=rate,
        most_seconds=MOST_SECONDS,
        most_frames=min(MOST_FRAMES, limits.frames),
        most_pixels=min(MOST_PIXELS, limits.pixels),
        most_bytes=limits.bytes,
        memory=_MEMORY,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "adapters.video.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(os.environ) | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(msgspec.json.encode(task))
            process.stdin.close()
            last = Report()
            while select.select([process.stdout], [], [], STALLED_SECONDS)[0]:
                line = process.stdout.readline()
                if not line:
                    break
                last = msgspec.json.decode(line, type=Report)
                show(last)
        finally:
            process.kill()
    if last.refused is not None:
        raise Invalid(f"{name}: {last.refused}", field="source")
    if not last.ended:
        raise Invalid(
            f"{name}: its decoder ended with status {process.returncode}; convert it to H.264",
            field="source",
        )
