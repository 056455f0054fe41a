"""Images are decoded in processes of limited number, memory and time."""

import asyncio
import io
import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from adapters.images import decoders, decoding
from adapters.images.decoders import Decoder, Decoders
from adapters.images.decoding import Undecodable, decode, inspect
from tests.adapters.images.odd import ODD, REFUSED
from tests.waiting import HANG_SECONDS

MAX = 100_000_000


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(MAX, HANG_SECONDS)
    yield made
    made.close()


def png(width: int, height: int, mode: str = "RGBA") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def process_of(decoder: Decoder) -> int:
    assert decoder._process is not None
    return decoder._process.pid


def test_it_finds_what_the_decoder_finds(decoder: Decoder) -> None:
    for odd in ODD.values():
        assert decoder.inspect(odd.data) == inspect(odd.data, MAX)
    for refused in REFUSED.values():
        with pytest.raises(Undecodable) as error:
            decoder.inspect(refused)
        with pytest.raises(Undecodable) as direct:
            inspect(refused, MAX)
        assert str(error.value) == str(direct.value)
    first = process_of(decoder)
    made = decoder.small(png(100, 50), longest=20, lossless=False, grey_bits=None)
    assert Image.open(io.BytesIO(made.data)).size == (20, 10)
    assert not made.depends_on_depth
    assert process_of(decoder) == first, "one process for all"


def test_an_image_that_takes_too_much_memory_is_refused_and_the_next_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoders, "_BASE_BYTES", 100 << 20)
    monkeypatch.setattr(decoders, "_BYTES_PER_PIXEL", 0)
    decoder = Decoder(MAX, HANG_SECONDS)
    try:
        with pytest.raises(Undecodable, match="more than 100 MiB of memory"):
            decoder.inspect(png(8000, 6000))
        assert decoder.inspect(png(10, 20)).height == 20
    finally:
        decoder.close()


def test_every_allowed_image_fits_into_the_memory(decoder: Decoder) -> None:
    """WebP takes most; docs/decisions/0040 has the others."""
    file = io.BytesIO()
    Image.new("RGBA", (16_000, 6_250), (9, 100, 3, 100)).save(file, "WEBP", lossless=True, method=0)
    small = decoder.small(file.getvalue(), longest=256, lossless=False, grey_bits=None)
    assert Image.open(io.BytesIO(small.data)).size == (256, 100)


def test_an_image_that_takes_too_long_is_refused() -> None:
    slow = Decoder(MAX, 0.01)
    try:
        with pytest.raises(Undecodable, match="ended with status -9"):
            slow.inspect(png(8000, 6000))
    finally:
        slow.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_ended_in_between_is_started_again(
    decoder: Decoder, number: signal.Signals
) -> None:
    decoder.inspect(png(10, 10))
    first = process_of(decoder)
    os.kill(first, number)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert decoder.inspect(png(10, 20)).height == 20


def test_an_idle_process_ends_and_another_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "IDLE_SECONDS", 0.01)
    decoder = Decoder(MAX, HANG_SECONDS)
    try:
        decoder.inspect(png(10, 10))
        os.waitid(os.P_PID, process_of(decoder), os.WEXITED | os.WNOWAIT)
        assert decoder.inspect(png(10, 20)).height == 20
    finally:
        decoder.close()


def test_so_many_at_once_and_the_others_wait_without_a_thread() -> None:
    pool = Decoders(MAX, at_once=2)
    working, go_on = threading.Semaphore(0), threading.Event()
    most, now, counting = 0, 0, threading.Lock()

    def work(decoder: Decoder) -> int:
        nonlocal most, now
        with counting:
            now += 1
            most = max(most, now)
        working.release()
        go_on.wait(HANG_SECONDS)
        with counting:
            now -= 1
        return decoder.inspect(png(10, 10)).width

    async def all_at_once() -> list[int]:
        tasks = [asyncio.ensure_future(pool.run(work)) for _ in range(24)]
        for _ in range(2):
            await asyncio.to_thread(working.acquire, timeout=HANG_SECONDS)
        before = threading.active_count()
        await asyncio.sleep(0)
        assert threading.active_count() == before
        go_on.set()
        return await asyncio.gather(*tasks)

    try:
        assert asyncio.run(all_at_once()) == [10] * 24
        assert most == 2
    finally:
        pool.close()


def test_transparency_in_strips_gives_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (97, 131, 4), dtype=np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(values, "RGBA")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, "PNG", exif=exif)
    whole = decode(file.getvalue(), MAX)
    monkeypatch.setattr(decoding, "_STRIP_PIXELS", 1000)
    assert decode(file.getvalue(), MAX).tobytes() == whole.tobytes()


def test_it_ends_with_its_parent() -> None:
    """Whose end closes its standard input, however it comes."""
    decoder = Decoder(MAX, HANG_SECONDS)
    decoder.inspect(png(10, 10))
    process = decoder._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(HANG_SECONDS) == 0
    assert process.stdout is not None
    process.stdout.close()
