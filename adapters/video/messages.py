"""Requests to the process that decodes a video, and its reports."""

import msgspec

LIST = ".frames.jsonl"
"""The list of frames, in their folder; a hidden file, so that no other format takes it."""


class Task(msgspec.Struct, frozen=True):
    """What to take: `rate` frames a second, or without it the first frame of each scene."""

    source: str
    container: str
    name: str
    into: str
    rate: float | None
    most_seconds: float
    most_frames: int
    most_pixels: int
    most_bytes: int
    memory: int


class Frame(msgspec.Struct, frozen=True):
    """A frame: its file, its number in the video from 0 on, and its time in seconds."""

    file: str
    number: int
    time: float


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """Seconds that are `done` of the `total`, None if it is unknown; `refused` is why it ends."""

    done: float = 0.0
    total: float | None = None
    frames: int = 0
    ended: bool = False
    refused: str | None = None
