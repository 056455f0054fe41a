"""Parts of files, for downloads that go on (RFC 9110, section 14)."""

import re

from litestar import Response

from api.http.parameters import HttpRequest

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")


def whole_or_part(
    request: HttpRequest, content: bytes, *, etag: str, media_type: str, headers: dict[str, str]
) -> Response[bytes]:
    """A file, or the part that the request's `Range` asks for: from a byte to another or the end.

    Every other `Range` is ignored, as is one whose `If-Range` is not the file's `ETag`.
    """
    headers = headers | {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    requested = _RANGE.fullmatch(request.headers.get("Range", ""))
    same = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
    if requested is None or not same:
        return Response(content, media_type=media_type, headers=headers)
    first, last = int(requested[1]), min(int(requested[2] or len(content)), len(content) - 1)
    if first > last:
        return Response(content, media_type=media_type, headers=headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    part = content[first : last + 1]
    return Response(part, status_code=206, media_type=media_type, headers=headers)
