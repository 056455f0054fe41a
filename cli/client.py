"""A caller of the public API that outlives restarts: each command has a key, so it happens once."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from domain.text import escaped_lines
from stemma_client.proxies import uses_proxy

PATIENCE_SECONDS = 120.0
IDEMPOTENCY_KEY = "Idempotency-Key"
_PASSING = frozenset({502, 503, 504})


class ApiProblem(Exception):
    """The API refused; the message is the problem's `detail`, `status` that of the answer.

    `fields` are those that the problem names.
    """

    def __init__(
        self, message: str, status: int | None = None, fields: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


class ApiUnreachable(ApiProblem):
    """The API did not answer, or could not look: nothing is known of what was asked."""


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
        self._http = httpx.Client(
            base_url=f"{api_url}/api/v1/",
            headers=authorization(api_key),
            timeout=60,
            trust_env=uses_proxy(api_url),
        )

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def command(self, path: str, body: object, key: str | None = None) -> dict[str, Any]:
        """POST a command as JSON and return its answer."""
        return self._send("POST", path, key=key, json=body)

    def change(self, path: str, body: object) -> dict[str, Any]:
        """PATCH: change what something is, such as its name."""
        return self._send("PATCH", path, json=body)

    def put(self, path: str, body: object) -> dict[str, Any]:
        """PUT: replace a part of something."""
        return self._send("PUT", path, json=body)

    def delete(self, path: str, **parameters: object) -> dict[str, Any]:
        """DELETE: archive, close or revoke something."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("DELETE", path, params=given)

    def upload(
        self, path: str, files: Sequence[tuple[str, bytes]], key: str | None = None
    ) -> dict[str, Any]:
        """POST files, (name, content) each, as multipart form data."""
        parts = [("files", (name, data, "application/octet-stream")) for name, data in files]
        return self._send("POST", path, key=key, files=parts)

    def send_body(
        self,
        path: str,
        body: Callable[[], Iterator[bytes]],
        parameters: Mapping[str, object],
        key: str | None = None,
    ) -> dict[str, Any]:
        """POST a stream of bytes; `body` is called anew for every try."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("POST", path, key=key, params=given, body=body)

    def download(self, path: str, target: Path, parameters: Mapping[str, Any]) -> int:
        """Write an answer's body to a file, which is there only if all has come; its size."""
        partial = target.with_name(f".{target.name}.partial")
        try:
            with self._http.stream("GET", path, params=dict(parameters), timeout=600) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                with partial.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
            size = partial.stat().st_size
            partial.replace(target)
        except httpx.TransportError as error:
            raise ApiUnreachable(f"the API cannot be reached: {error}") from error
        except OSError as error:
            raise ApiProblem(f"{target} cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
        return size

    def query(self, path: str, **parameters: object) -> dict[str, Any]:
        return self._send("GET", path, params=parameters)

    def document(self, path: str) -> dict[str, Any]:
        """An answer that is kept and not printed: its texts are exact."""
        return self._send("GET", path, exact=True)

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
        while True:
            try:
                headers = {"Last-Event-ID": last}
                with connect_sse(self._http, "GET", path, headers=headers) as source:
                    source.response.raise_for_status()
                    for event in source.iter_sse():
                        deadline = time.monotonic() + PATIENCE_SECONDS
                        last = event.id or last
                        yield event
                        if event.event == "end":
                            return
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                self._check_patience(deadline, error)
            time.sleep(0.2)

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], Iterator[bytes]] | None = None,
        key: str | None = None,
        exact: bool = False,
        **content: Any,
    ) -> dict[str, Any]:
        headers = {} if method == "GET" else {IDEMPOTENCY_KEY: key or str(uuid.uuid4())}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if body is not None:
                    content["content"] = body()
                response = self._http.request(method, path, headers=headers, **content)
            except httpx.TransportError as error:
                self._check_patience(deadline, error)
            else:
                if response.is_success:
                    answer: dict[str, Any] = response.json()
                    return answer if exact or self._exact else printable(answer)
                if response.status_code not in _PASSING:
                    raise _refusal(response)
                self._check_patience(deadline, ApiProblem(response.text))
            time.sleep(0.2)

    def _check_patience(self, deadline: float, error: Exception) -> None:
        if not self._is_running():
            raise ApiUnreachable(f"the system at {self._http.base_url.host} was stopped") from error
        if time.monotonic() > deadline:
            raise ApiUnreachable(f"the API cannot be reached: {error}") from error


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


def _refusal(response: httpx.Response) -> ApiProblem:
    try:
        problem = response.json()
    except ValueError:
        return ApiProblem(escaped_lines(response.text), response.status_code)
    fields = frozenset(str(error.get("field")) for error in problem.get("errors", []))
    detail = escaped_lines(str(problem.get("detail", response.text)))
    return ApiProblem(detail, response.status_code, fields)
