"""The process that decodes a video: chosen frames become PNG files, and a list of them.

Started by `frames.py` as `python -m adapters.video.child`, with a `Task` on standard input. It
prints a `Report` a line: how far it is, and at last how it ended.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import msgspec
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from adapters.video.messages import LIST, Frame, Report, Task

SCENE = 0.3
"""From this score of FFmpeg's filter on, in [0, 1], a frame begins another scene."""

EVERY = 0.2
"""Seconds between two reports."""


class Refused(Exception):
    """The video cannot be taken; the message says why, and what to do."""


def extract(task: Task) -> int:
    """Write the frames and their list; returns how many there are. Raises `Refused`."""
    with Path(task.source).open("rb") as file, av.open(file, "r", format=task.container) as source:
        if not source.streams.video:
            raise Refused("it has no video stream; choose a video")
        stream = source.streams.video[0]
        _check(stream, task)
        length = None if source.duration is None else source.duration / av.time_base
        if length is not None and length > task.most_seconds:
            raise _too_long(task)
        count, size = 0, 0
        reported = 0.0
        with (Path(task.into) / LIST).open("wb") as listed:
            for number, frame in _chosen(source, stream, task, length):
                at = frame.time or 0.0
                name = f"{Path(task.name).stem}-{number:06d}.png"
                path = Path(task.into) / name
                picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
                if frame.rotation:
                    picture = picture.rotate(frame.rotation, expand=True)
                picture.save(path, "PNG")
                size += path.stat().st_size
                count += 1
                if count > task.most_frames:
                    raise Refused(
                        f"it has more than {task.most_frames:,} frames; take fewer per second"
                    )
                if size > task.most_bytes:
                    raise Refused(
                        f"its frames take more than {task.most_bytes:,} bytes; take fewer per"
                        " second"
                    )
                listed.write(msgspec.json.encode(Frame(name, number, round(at, 6))) + b"\n")
                if time.monotonic() - reported > EVERY:
                    reported = time.monotonic()
                    report(Report(at, length, count))
        if not count:
            raise Refused("it has no frame that can be decoded; convert it again")
        return count


def _check(stream: VideoStream, task: Task) -> None:
    context = stream.codec_context
    if context is None:
        raise Refused("its codec is not supported; convert it to H.264")
    if context.width * context.height > task.most_pixels:
        raise Refused(
            f"its frames have {context.width} by {context.height} pixels; at most"
            f" {task.most_pixels:,} are read, so make it smaller"
        )
    context.thread_count = 1  # each thread holds frames of its own


def _chosen(
    source: "av.container.InputContainer", stream: VideoStream, task: Task, length: float | None
) -> Iterator[tuple[int, VideoFrame]]:
    """The chosen frames with their numbers. Raises `Refused` for a video that ends early."""
    scenes = None if task.rate else _Scenes(stream)
    taken, last = 0, 0.0
    number = -1
    for packet in source.demux(stream):
        if packet.is_corrupt:
            raise _cut_off(last, length)
        for frame in packet.decode():
            number += 1
            last = frame.time if frame.time is not None else last
            if last > task.most_seconds:
                raise _too_long(task)
            if frame.width * frame.height > task.most_pixels:
                raise Refused("the size of its frames grows during the video; convert it again")
            if scenes is not None:
                if scenes.begins(frame):
                    yield number, frame
            elif task.rate and last * task.rate >= taken - 1e-6:
                yield number, frame
                taken = int(last * task.rate + 1e-6) + 1
    rate = float(stream.average_rate or 1)
    if stream.frames and number + 1 < stream.frames - 1 - stream.frames // 100:
        raise _cut_off(last, length)
    if length is not None and last + max(1.0, 3 / rate) < length:
        raise _cut_off(last, length)


class _Scenes:
    """FFmpeg's detector of scenes."""

    def __init__(self, stream: VideoStream) -> None:
        self._graph = av.filter.Graph()
        self._graph.link_nodes(
            self._graph.add_buffer(template=stream),
            self._graph.add("select", f"eq(n\\,0)+gt(scene\\,{SCENE})"),
            self._graph.add("buffersink"),
        ).configure()

    def begins(self, frame: VideoFrame) -> bool:
        self._graph.push(frame)
        try:
            self._graph.pull()
        except (BlockingIOError, EOFError):
            return False
        return True


def _too_long(task: Task) -> Refused:
    return Refused(f"it is longer than {task.most_seconds / 3600:g} hours; split it")


def _cut_off(last: float, length: float | None) -> Refused:
    of = "" if length is None else f" of {length:.1f}"
    return Refused(f"it is cut off or damaged after {last:.1f}{of} seconds; copy it again")


def report(message: Report) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory, task.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)
    av.logging.set_level(None)
    try:
        report(Report(frames=extract(task), ended=True))
    except Refused as refused:
        report(Report(refused=str(refused), ended=True))
    except MemoryError:
        report(Report(refused="it takes too much memory to decode; make it smaller", ended=True))
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        report(Report(refused=f"its codec is not supported ({error.strerror})", ended=True))
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        text = f"it cannot be decoded ({reason}): it is truncated, damaged or not a video"
        report(Report(refused=text, ended=True))


if __name__ == "__main__":
    main()
