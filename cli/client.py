"""The command line's caller of the API: the Python package's, with JSON as it is."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from domain.text import escaped_lines
from stemma_client.attempts import PASSING
from stemma_client.downloads import download
from stemma_client.errors import ApiError, NotStemma, StemmaError, Unreachable
from stemma_client.requests import Request
from stemma_client.settings import Server
from stemma_client.transport import Session, Transport

PATIENCE_SECONDS = 120.0
TIMEOUT_SECONDS = 60.0
IDEMPOTENCY_KEY = "Idempotency-Key"
_AGAIN_SECONDS = 0.2


class ApiProblem(Exception):
    """The API refused; the message is the problem's `detail` and its errors, `status` that of the
    answer.

    `fields` are those that the problem names.
    """

    def __init__(
        self, message: str, status: int | None = None, fields: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


class ApiUnreachable(ApiProblem):
    """The API did not answer, or could not check: the outcome of the request is unknown."""


class ApiClient:
    """Calls `/api/v1` and tries again while the server cannot be reached.

    Answers are printed, so their texts are escaped: old events hold what others typed.

    A command's `key` is its Idempotency-Key, a random one unless it is given. Once the server
    `is_running` no more, it does not try again. With `exact`, texts are as the API sends them, for
    what is written as JSON.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        is_running: Callable[[], bool] = lambda: True,
        *,
        exact: bool = False,
    ) -> None:
        self.url = api_url
        self._exact = exact
        self._is_running = is_running
        session = Session(
            Server(api_url, api_key),
            correlation_id=str(uuid.uuid4()),
            timeout=TIMEOUT_SECONDS,
            patience=PATIENCE_SECONDS,
            is_running=is_running,
        )
        self._transport = Transport(session)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def command(self, path: str, body: object, key: str | None = None) -> dict[str, Any]:
        """POST a command as JSON and return its answer."""
        return self._send(_request("POST", path, body=body), key)

    def change(self, path: str, body: object) -> dict[str, Any]:
        """PATCH: change what something is, such as its name."""
        return self._send(_request("PATCH", path, body=body))

    def put(self, path: str, body: object) -> dict[str, Any]:
        """PUT: replace a part of something."""
        return self._send(_request("PUT", path, body=body))

    def delete(self, path: str, **parameters: object) -> dict[str, Any]:
        """DELETE: archive, close or revoke something."""
        return self._send(_request("DELETE", path, parameters))

    def upload(
        self, path: str, files: Sequence[tuple[str, bytes]], key: str | None = None
    ) -> dict[str, Any]:
        """POST files, (name, content) each, as multipart form data."""
        parts = [("files", (name, data, "application/octet-stream")) for name, data in files]
        request = _request("POST", path, body=parts, media_type="multipart/form-data")
        return self._send(request, key)

    def send_body(
        self,
        path: str,
        body: Callable[[], Iterator[bytes]],
        parameters: Mapping[str, object],
        key: str | None = None,
    ) -> dict[str, Any]:
        """POST a stream of bytes; `body` is called again for every attempt."""
        with self._problems():
            request = _request("POST", path, parameters)
            return self._shown(self._transport.send(request, key=key, body=body))

    def download(
        self, path: str, target: Path, parameters: Mapping[str, Any], digest: str | None = None
    ) -> int:
        """Write an answer's body to a file, which is there only if all has come; its size.

        With a sha256 `digest` an interrupted download goes on, and another file is refused.
        """
        request = Request[bytes](
            name=path, method="GET", path=_path(path), query=parameters, answer=bytes
        )
        try:
            with self._problems():
                download(self._transport, request, target, digest=digest)
        except OSError as error:
            raise ApiProblem(f"{target} cannot be written: {error.strerror}") from error
        return target.stat().st_size

    def query(self, path: str, **parameters: object) -> dict[str, Any]:
        return self._send(_request("GET", path, parameters))

    def document(self, path: str) -> dict[str, Any]:
        """An answer that is kept and not printed: its texts are exact."""
        with self._problems():
            return self._transport.send(_request("GET", path))

    def query_all(self, path: str, **parameters: object) -> Iterator[dict[str, Any]]:
        """The items of every page of a list."""
        page = self.query(path, **parameters)
        yield from page["items"]
        while page["next"] is not None:
            page = self.query(path, **parameters, cursor=page["next"])
            yield from page["items"]

    def follow(self, path: str) -> Iterator[ServerSentEvent]:
        """Server-sent events until `end`; after an interruption, on from the last one seen."""
        last = "0"
        deadline = time.monotonic() + PATIENCE_SECONDS
        request = Request[bytes](name=path, method="GET", path=_path(path), answer=bytes)
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
            try:
                with self._transport.stream(request, headers) as response:
                    for event in EventSource(response).iter_sse():
                        deadline = time.monotonic() + PATIENCE_SECONDS
                        last = event.id or last
                        yield event
                        if event.event == "end":
                            return
            except httpx.TransportError as error:
                self._check_patience(deadline, error)
            except StemmaError as error:
                raise self._problem(error) from error
            time.sleep(_AGAIN_SECONDS)

    def _send(self, request: Request[dict[str, Any]], key: str | None = None) -> dict[str, Any]:
        with self._problems():
            return self._shown(self._transport.send(request, key=key))

    def _shown(self, answer: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = answer if self._exact else printable(answer)
        return shown

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except StemmaError as error:
            raise self._problem(error) from error

    def _problem(self, error: StemmaError) -> ApiProblem:
        if not self._is_running():
            return ApiUnreachable(f"the system at {self.url} was stopped")
        text = escaped_lines(error.explanation)
        if isinstance(error, ApiError) and error.status not in PASSING:
            return ApiProblem(text, error.status, error.fields)
        if isinstance(error, ApiError | NotStemma | Unreachable):
            return ApiUnreachable(f"the API cannot be reached: {text}")
        return ApiProblem(text)

    def _check_patience(self, deadline: float, error: Exception) -> None:
        if not self._is_running():
            raise ApiUnreachable(f"the system at {self.url} was stopped") from error
        if time.monotonic() > deadline:
            raise ApiUnreachable(f"the API cannot be reached: {error}") from error


def _request(
    method: str,
    path: str,
    query: Mapping[str, object] | None = None,
    **content: Any,
) -> Request[dict[str, Any]]:
    return Request(
        name=path,
        method=method,
        path=_path(path),
        query=query or {},
        answer=dict[str, Any],
        is_command=method != "GET",
        **content,
    )


def _path(path: str) -> str:
    return f"/api/v1/{path}"


def printable(value: Any) -> Any:
    """JSON with each text escaped for a terminal; line feeds stay."""
    match value:
        case str():
            return escaped_lines(value)
        case list():
            return [printable(item) for item in value]
        case dict():
            return {printable(key): printable(item) for key, item in value.items()}
    return value


def authorization(api_key: str) -> dict[str, str]:
    """The header by which the API knows who calls."""
    return {"Authorization": f"Bearer {api_key}"}
