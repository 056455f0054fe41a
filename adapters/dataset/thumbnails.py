"""Small versions of images in the blob store: made once, and made again to verify them."""

from collections.abc import Iterator

import msgspec
from PIL import features

from adapters.blobs.blobs import PICTURE, BlobMissing, BlobStore, thumbnail_key
from adapters.images.decoders import Decoder
from adapters.images.decoding import Undecodable
from adapters.images.small import Made
from domain.dataset.pixels import DECODER_RULE
from domain.errors import Invalid

_LARGEST_PICTURE = 2048
_ANY_DEPTH = "*"
_ALL_BITS = "all"


class WrongThumbnail(msgspec.Struct, frozen=True):
    """A stored small version that its image does not give; `size` is its side, or `picture`."""

    digest: str
    size: str


def recipe(grey_bits: int | None) -> str:
    """What the bytes depend on besides the image's: the pixels' rule, the bits of 16-bit grey, and
    the library that packs them."""
    return _recipe(str(grey_bits or _ALL_BITS))


def _recipe(bits: str) -> str:
    return f"{DECODER_RULE}/{bits}/{features.version('webp')}"


def stored(blobs: BlobStore, digest: str, size: int | str, grey_bits: int | None) -> bytes | None:
    """What is stored, if it was made by this recipe."""
    found = blobs.get_derived(thumbnail_key(digest, size)) or b""
    made_by, _, made = found.partition(b"\n")
    recipes = {recipe(grey_bits), _recipe(_ANY_DEPTH)}
    return made if made_by.decode(errors="replace") in recipes else None


def make(
    blobs: BlobStore, digest: str, size: int | str, grey_bits: int | None, decoder: Decoder
) -> bytes:
    """Make it, unless it was made while this waited, and store it with its recipe.

    Raises `Invalid` if the image cannot be decoded, and `BlobMissing`.
    """
    if (found := stored(blobs, digest, size, grey_bits)) is not None:
        return found
    try:
        made = _small(decoder, blobs.get(digest), size, grey_bits)
    except Undecodable as error:
        raise Invalid(f"the image cannot be decoded: {error}") from error
    made_by = recipe(grey_bits) if made.depends_on_depth else _recipe(_ANY_DEPTH)
    key = thumbnail_key(digest, size)
    blobs.put_derived(key, f"{made_by}\n".encode() + made.data)
    if not blobs.has(digest):
        # The image and its stored thumbnails were erased in the meantime.
        blobs.forget_derived(key)
        raise BlobMissing(f"image {digest} was erased while its thumbnail was made")
    return made.data


def _small(decoder: Decoder, data: bytes, size: int | str, grey_bits: int | None) -> Made:
    longest = _LARGEST_PICTURE if isinstance(size, str) else size
    return decoder.small(data, longest=longest, lossless=size == PICTURE, grey_bits=grey_bits)


def verify(blobs: BlobStore, decoder: Decoder) -> Iterator[WrongThumbnail]:
    """Make each stored small version again, and yield those that differ.

    What was made by another recipe is not looked at: nobody is served it.
    """
    for size, digest in blobs.list_thumbnails():
        found = blobs.get_derived(thumbnail_key(digest, size)) or b""
        made_by, _, stored_bytes = found.partition(b"\n")
        bits = _bits_of(made_by.decode(errors="replace"))
        if bits is None:
            continue
        try:
            data = blobs.get(digest)
        except BlobMissing:
            continue  # erased meanwhile; `check` names those that are missing
        grey_bits = int(bits) if bits.isdecimal() else None
        try:
            made = _small(decoder, data, size, grey_bits)
        except Undecodable:
            yield WrongThumbnail(digest, str(size))
            continue
        claims_any = bits == _ANY_DEPTH
        if made.data != stored_bytes or (made.depends_on_depth and claims_any):
            yield WrongThumbnail(digest, str(size))


def _bits_of(made_by: str) -> str | None:
    """The bits in a recipe of today; None in another one."""
    parts = made_by.split("/")
    if len(parts) != 3 or made_by != _recipe(parts[1]):
        return None
    known = parts[1] in {_ANY_DEPTH, _ALL_BITS} or (parts[1].isascii() and parts[1].isdecimal())
    return parts[1] if known else None
