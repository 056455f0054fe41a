"""Parts of files, for downloads that go on (RFC 9110, section 14)."""

import re
from typing import NamedTuple

from litestar import Response

from api.http.parameters import HttpRequest

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


class Part(NamedTuple):
    """The bytes of a file to answer with, and the status and headers that say which they are."""

    first: int
    length: int
    status_code: int
    headers: dict[str, str]


def part_of(request: HttpRequest, etag: str, size: int) -> Part:
    """The part of a file that the request's `Range` asks for: from a byte to another or the end.

    Every other `Range` is ignored, as is one whose `If-Range` is not the file's `ETag`.
    """
    headers = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    same = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
    if asked is None or not same:
        return Part(0, size, 200, headers)
    first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    if first > last:
        return Part(0, size, 200, headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Part(first, last + 1 - first, 206, headers)


def whole_or_part(
    request: HttpRequest, content: bytes, *, etag: str, media_type: str, headers: dict[str, str]
) -> Response[bytes]:
    """A file, or the part of it that is asked for."""
    part = part_of(request, etag, len(content))
    return Response(
        content[part.first : part.first + part.length],
        status_code=part.status_code,
        media_type=media_type,
        headers=headers | part.headers,
    )
