"""Formats of image files, recognised by their first bytes."""

READABLE = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
"""The formats that are read, by Pillow's names."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp"),
    *(".bmp", ".tif", ".tiff", ".gif", ".avif"),
)

SIGNATURE_BYTES = 64
"""So many first bytes of a file show its format."""

_SIGNATURES = (
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "PSD"),
)
# Brands of ISO/IEC 23008-12 files; AVIF files may name the general brand mif1, too.
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_MEDIA_TYPES = {name: f"image/{name.lower()}" for name in READABLE}
UNKNOWN_MEDIA_TYPE = "application/octet-stream"


def file_format(data: bytes) -> str | None:
    """The format of an image file, also of one that is not read; None for other files."""
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    if data[4:8] == b"ftyp":
        brands = [data[start : start + 4] for start in (8, *range(16, SIGNATURE_BYTES, 4))]
        if any(brand in _AVIF for brand in brands):
            return "AVIF"
        if any(brand in _HEIC for brand in brands):
            return "HEIC"
    return None


def media_type(data: bytes) -> str:
    """The media type of an image file, for HTTP."""
    return _MEDIA_TYPES.get(file_format(data) or "", UNKNOWN_MEDIA_TYPE)
