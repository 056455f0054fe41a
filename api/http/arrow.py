"""Answers as Apache Arrow's IPC stream, for those whose `Accept` asks for it: tables as columns.

pyarrow is imported on use: the API starts without it.
"""

from io import BytesIO
from typing import Any

from litestar import Response

from api.http.parameters import HttpRequest

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
JSON = "application/json"


def wants_arrow(request: HttpRequest) -> bool:
    """Whether the caller prefers Arrow to JSON."""
    return request.accept.best_match([JSON, MEDIA_TYPE]) == MEDIA_TYPE


def arrow_answer(table: Any, position: int, following: str | None = None) -> Response[Any]:
    """A table as a stream; its metadata has the `position` and `next` of the JSON answer."""
    import pyarrow as pa

    about = {"position": str(position)} | ({} if following is None else {"next": following})
    marked = table.replace_schema_metadata(about)
    written = BytesIO()
    with pa.ipc.new_stream(written, marked.schema) as stream:
        stream.write_table(marked)
    return Response(written.getvalue(), media_type=MEDIA_TYPE)
