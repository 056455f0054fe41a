"""Videos become images: the exact frames, at a rate or at scenes; what is damaged is refused."""

import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from adapters.dataset.imports import run
from adapters.formats.registry import detect
from adapters.video import frames as frames_module
from adapters.video.frames import VideoLimits, container_of, extract_frames
from application.log.store import Store
from domain.dataset.imports import ImportCompleted, ImportRefused, ImportRules
from domain.errors import Invalid
from tests.adapters.dataset.importing import Importer
from tests.servers import Database

SIZE = (64, 48)
LIMITS = VideoLimits(1_000_000, 1000, 50_000_000)


def video(path: Path, codec: str, seconds: int = 30, fps: int = 10, **options: Any) -> Path:
    """A video of frames that differ, in another colour every ten seconds."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = Fraction(1, fps)
        for number in range(seconds * fps):
            pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
            pixels[..., number // (10 * fps)] = 255
            pixels[: number % (10 * fps) // 3 + 1, : SIZE[0] // 2] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoded(path: Path, numbers: range) -> list[np.ndarray[Any, Any]]:
    """Frames of a video by their numbers, decoded here."""
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [every[number] for number in numbers]


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("video") / "street.mp4", "libx264")


def taken(importer: Importer) -> dict[str, tuple[dict[str, str], bytes]]:
    """Metadata and bytes of the project's images, by their file names."""
    return {
        image.added.file_name: (image.added.metadata, importer.blobs.get(image.blob))
        for image in importer.images().values()
    }


def test_a_video_is_imported_to_its_exact_frames(importer: Importer, clip: Path) -> None:
    ending = importer.take(clip)
    assert isinstance(ending, ImportCompleted)
    assert (ending.format, ending.counts.images, ending.counts.added) == ("video", 30, 30)
    found = taken(importer)
    assert sorted(found) == [f"street-{number:06d}.png" for number in range(0, 300, 10)]
    for number, expected in zip(range(0, 300, 10), decoded(clip, range(0, 300, 10)), strict=True):
        metadata, data = found[f"street-{number:06d}.png"]
        told = {"video": "street.mp4", "time": f"{number / 10:.3f}", "frame": str(number)}
        assert metadata == told
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)
    again = importer.take(clip)
    assert isinstance(again, ImportCompleted)
    assert again.counts.added == 0


class Killed(Exception):
    """Stands for the end of the process."""


def test_killed_midway_and_repeated_it_is_the_same(
    importer: Importer, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = importer.ask(clip, rules=ImportRules(frame_rate=2.0))
    steps = 0

    def once(work: Callable[..., Any], at: int) -> Callable[..., Any]:
        calls = iter(range(1000))

        def wrapped(*args: Any) -> Any:
            nonlocal steps
            if next(calls) == at:
                steps += 1
                raise Killed
            return work(*args)

        return wrapped

    with monkeypatch.context() as patch:
        # While it is decoded, and after some of its frames were recorded.
        patch.setattr(run, "BATCH", 7)
        patch.setattr(run, "extract_frames", once(extract_frames, 0))
        with pytest.raises(Killed):
            importer.run(import_id)
        patch.setattr(run, "extract_frames", extract_frames)
        patch.setattr(run, "_add", once(run._add, 3))
        with pytest.raises(Killed):
            importer.run(import_id)
        assert 0 < len(importer.images()) < 60
        patch.setattr(run, "_add", run._add)
        ending = importer.run(import_id)
    assert steps == 2
    assert isinstance(ending, ImportCompleted)
    assert ending.counts.added == 60
    assert sorted(taken(importer)) == [f"street-{number:06d}.png" for number in range(0, 300, 5)]


@pytest.mark.parametrize("where", ["the index", "the middle", "the last packet"])
def test_a_truncated_video_is_refused(importer: Importer, tmp_path: Path, where: str) -> None:
    # With its index first, a cut off file can still be opened.
    first = {"movflags": "faststart"} if where != "the index" else {}
    whole = video(tmp_path / "whole.mp4", "libx264", options=first)
    cut = tmp_path / "cut.mp4"
    size = whole.stat().st_size
    kept = size - 20 if where == "the last packet" else size * 7 // 10
    cut.write_bytes(whole.read_bytes()[:kept])
    ending = importer.take(cut)
    assert isinstance(ending, ImportRefused)
    assert ending.reason.startswith("cut.mp4: it ")
    assert re.search("cut off|truncated", ending.reason)
    assert importer.images() == {}


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.mov", "libx264", "mov"), ("a.avi", "mjpeg", "avi"), ("a.webm", "libvpx", "matroska")],
)
def test_containers_and_scenes(tmp_path: Path, name: str, codec: str, container: str) -> None:
    path = video(tmp_path / name, codec)
    assert container_of(path) == container
    extract_frames(path, name, tmp_path / "scenes", None, LIMITS, lambda _: None)
    assert detect(tmp_path / "scenes") == "video"
    files = sorted(file.name for file in (tmp_path / "scenes").glob("*.png"))
    assert files == ["a-000000.png", "a-000100.png", "a-000200.png"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (VideoLimits(1000, 1000, 10**9), "64 by 48 pixels; at most 1,000"),
        (VideoLimits(10**6, 10, 10**9), "more than 10 frames"),
        (VideoLimits(10**6, 1000, 1000), "more than 1,000 bytes"),
    ],
)
def test_too_much_is_refused(clip: Path, tmp_path: Path, limits: VideoLimits, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        extract_frames(clip, "street.mp4", tmp_path / "out", 10, limits, lambda _: None)


def test_too_long_and_hostile_files_are_refused(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "MOST_SECONDS", 20.0)
    with pytest.raises(Invalid, match="longer than"):
        extract_frames(clip, "long.mp4", tmp_path / "long", 1, LIMITS, lambda _: None)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"\0\0\0\x20ftypisom" + np.random.default_rng(1).bytes(5000))
    with pytest.raises(Invalid, match=r"noise\.mp4: it cannot be decoded"):
        extract_frames(noise, "noise.mp4", tmp_path / "noise", 1, LIMITS, lambda _: None)
    unknown = tmp_path / "unknown.mp4"
    unknown.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(Invalid, match=r"unknown\.mp4: its codec is not supported; convert it"):
        extract_frames(unknown, "unknown.mp4", tmp_path / "unknown", 1, LIMITS, lambda _: None)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
        container.mux(stream.encode())
    with pytest.raises(Invalid, match="it has no video stream"):
        extract_frames(sound, "sound.mp4", tmp_path / "sound", 1, LIMITS, lambda _: None)
