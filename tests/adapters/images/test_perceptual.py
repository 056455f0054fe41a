"""The perceptual hash on real images: copies are near, different pictures are not."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from adapters.images.decoders import Decoder
from adapters.images.decoding import Undecodable
from adapters.images.perceptual import perceptual_hash
from projections.dataset.near_duplicates import NEAR
from tests.real_images import altered, digits, encoded, photographs

MOST_PIXELS = 1_000_000


def hashed(data: bytes) -> int:
    found = perceptual_hash(data, MOST_PIXELS)
    assert found is not None
    return found


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_phash_of_zauner_bit_for_bit(seed: int) -> None:
    """By SciPy's DCT, as the package imagehash has it. Stored hashes are compared with new ones, so
    another hash needs another `HASH_RULE`."""
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
    lowest = dctn(grey.astype(np.float64), type=2)[:8, :8]
    bits = "".join(str(int(bit)) for bit in (lowest > np.median(lowest)).ravel())
    assert f"{hashed(encoded(Image.fromarray(grey))):064b}" == bits


@pytest.mark.parametrize("number", range(14))
def test_altered_copies_are_near(number: int) -> None:
    photo = photographs()[number]
    original = hashed(encoded(photo))
    found = {how: distance(original, hashed(copy)) for how, copy in altered(photo)}
    assert max(found.values()) <= NEAR, found


def test_different_photographs_are_far() -> None:
    hashes = [hashed(encoded(photo)) for photo in photographs()[2:]]
    pairs = itertools.combinations(hashes, 2)
    assert min(distance(*pair) for pair in pairs) > 3 * NEAR


def test_different_digits_are_not_near() -> None:
    hashes = [(digit, hashed(data)) for digit, data in digits()]
    near = [
        (first, second)
        for (first, one), (second, other) in itertools.combinations(hashes, 2)
        if distance(one, other) <= NEAR
    ]
    assert [pair for pair in near if pair[0] != pair[1]] == []


def test_a_flat_image_has_no_hash() -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    pixels[::2] += 1
    assert perceptual_hash(encoded(Image.fromarray(pixels)), MOST_PIXELS) is None


def test_grey_of_16_bits_is_near_to_itself_in_8() -> None:
    grey = np.asarray(photographs()[0].convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) << 2)  # 10 bits of the 16
    shallow = Image.fromarray(grey)
    assert distance(hashed(encoded(deep)), hashed(encoded(shallow))) <= 2


def test_a_turned_photograph_is_hashed_upright() -> None:
    photo = photographs()[0]
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=90, exif=exif)
    assert distance(hashed(file.getvalue()), hashed(encoded(photo))) <= 2


def test_a_process_gives_the_same_hash_and_refuses_what_is_no_image() -> None:
    decoder = Decoder(MOST_PIXELS, 60)
    try:
        data = encoded(photographs()[1])
        assert decoder.perceptual_hash(data) == hashed(data)
        with pytest.raises(Undecodable):
            decoder.perceptual_hash(b"no image")
    finally:
        decoder.close()
