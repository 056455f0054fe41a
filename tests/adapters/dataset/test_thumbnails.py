"""A stored thumbnail that its image does not give is found, whatever digest is in front of it."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from adapters.blobs.blobs import PICTURE, BlobStore, thumbnail_key
from adapters.dataset.thumbnails import WrongThumbnail, make, recipe, stored, verify
from adapters.images.decoders import Decoder
from cli.main import main
from tests.servers import Database
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with closing(Decoder(10**6, HANG_SECONDS)) as made:
        yield made


@pytest.fixture
def blobs(any_blobs_url: str) -> BlobStore:
    return BlobStore.from_url(any_blobs_url)


def image(shade: int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    made = Image.fromarray(np.full((40, 300), 40 * shade, np.uint16)) if mode == "I;16" else None
    (made or Image.new(mode, (300, 40), shade)).save(file, "PNG")
    return file.getvalue()


def test_a_wrong_one_is_found_and_no_other(blobs: BlobStore, decoder: Decoder) -> None:
    digests = [blobs.put(image(shade)) for shade in (10, 200)]
    deep = blobs.put(image(100, "I;16"))
    for digest in digests:
        for size in (256, 2048, PICTURE):
            make(blobs, digest, size, None, decoder)
    make(blobs, deep, 256, 12, decoder)
    assert list(verify(blobs, decoder)) == []

    first, second = digests
    key = thumbnail_key(first, 256)
    # As who can write there would: another's picture, with a digest of its own in front.
    blobs.put_derived(key, blobs.get_derived(thumbnail_key(second, 256)) or b"")
    assert stored(blobs, first, 256, None) is not None, "it is served"
    assert list(verify(blobs, decoder)) == [WrongThumbnail(first, "256")]
    blobs.forget_derived(key)
    make(blobs, first, 256, None, decoder)
    assert list(verify(blobs, decoder)) == []


def test_a_deep_image_is_of_its_projects_depth(blobs: BlobStore, decoder: Decoder) -> None:
    deep = blobs.put(image(100, "I;16"))
    bright = make(blobs, deep, 256, None, decoder)
    # It claims to be right whatever the depth.
    claims = recipe(None).replace("all", "*").encode()
    blobs.put_derived(thumbnail_key(deep, 256), claims + b"\n" + bright)
    assert stored(blobs, deep, 256, 12) == bright
    assert list(verify(blobs, decoder)) == [WrongThumbnail(deep, "256")]


def test_what_nobody_is_served_is_left_alone(blobs: BlobStore, decoder: Decoder) -> None:
    digest = blobs.put(image(10))
    blobs.put_derived(thumbnail_key(digest, 256), b"1/all\nof an earlier rule")
    gone = hashlib.sha256(b"gone").hexdigest()
    blobs.put_derived(thumbnail_key(gone, 256), recipe(None).encode() + b"\nof an erased image")
    assert stored(blobs, digest, 256, None) is None
    assert list(verify(blobs, decoder)) == []


def test_the_command_names_it(
    migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs_url = f"file://{tmp_path}/blobs"
    monkeypatch.setenv("STEMMA_DATABASE_URL", migrated.app_url)
    monkeypatch.setenv("STEMMA_BLOBS_URL", blobs_url)
    blobs = BlobStore.from_url(blobs_url)
    digest = blobs.put(image(10))
    key = thumbnail_key(digest, 256)
    blobs.put_derived(key, recipe(None).encode() + b"\nforged")
    found = CliRunner().invoke(main, ["blobs", "check"])
    assert f"derived/{key} does not match its image" in found.output
    assert found.exit_code == 1
    assert CliRunner().invoke(main, ["blobs", "check", "--no-thumbnails"]).exit_code == 0
