"""Frames of a video, as `adapters/video` extracts them; their time and number are metadata."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.formats.items import Contents, Item, ReadOptions, Recognition, SourceImage
from adapters.formats.sources import is_plain, open_plain
from adapters.video.messages import LIST, Frame

VIDEO, TIME, FRAME = "video", "time", "frame"
"""The keys of a frame's metadata: the video's file name, the seconds, the number from 0 on."""


def recognise(folder: Path) -> Recognition:
    if not is_plain(folder, LIST):
        return Recognition("the source is not a video file (MP4, MOV, AVI or WebM)")
    return Recognition(reads=(LIST,))


def read(folder: Path, options: ReadOptions) -> Contents:
    """The frames, annotated in no view."""
    return Contents((), _images(folder, options))


def _images(folder: Path, options: ReadOptions) -> Iterator[Item]:
    decoder = msgspec.json.Decoder(Frame)
    with open_plain(folder, LIST, options.max_bytes) as file:
        for line in file:
            frame = decoder.decode(line)
            metadata = {
                VIDEO: options.video or folder.name,
                TIME: f"{frame.time:.3f}",
                FRAME: str(frame.number),
            }
            yield SourceImage(frame.file, f"frame {frame.number}", "", metadata)
