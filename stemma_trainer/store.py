"""The server's routes for the worker of a job."""

import hashlib
import ipaddress
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx

PATIENCE = 600.0
"""Seconds for which a request is repeated while the server does not answer."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_PIECE = 1 << 20
_STORING = 300.0
"""Seconds in which the server stores a file of gigabytes that it has received."""


_ENDED, _DAMAGED = "#training-ended", "#stored-data-damaged"
"""How the types of two problems end."""


class Superseded(Exception):
    """A later delivery of the job has begun: this one must stop."""


class TrainingEnded(Exception):
    """The training has ended, for example cancelled: nothing is left to do for its job."""


class TokenRefused(Exception):
    """The server does not accept the token of the job."""


class ServerAway(ConnectionError):
    """The server did not answer for too long, or a proxy answered in its place; or, if it was
    `reached`, it could not do what was requested, as on a full disk."""

    def __init__(self, what: str, *, reached: bool) -> None:
        super().__init__(what)
        self.reached = reached


class Guarded(Protocol):
    """A job with a token."""

    @property
    def version_id(self) -> str: ...
    @property
    def token(self) -> str: ...


class JobStore:
    """What a job reads and stores. Each request is repeated while the server does not answer.

    Raises `TrainingEnded`, `Superseded`, `TokenRefused`, and `ServerAway` after `patience` seconds.
    Safe to use from many threads.
    """

    def __init__(self, job: Guarded, api_url: str, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._client = httpx.Client(
            base_url=f"{api_url.rstrip('/')}/api/v1/jobs/{job.version_id}/",
            headers={"Job-Token": job.token},
            timeout=httpx.Timeout(60, connect=10, read=_STORING),
            trust_env=_uses_proxy(api_url),
            verify=_authorities(api_url),
        )

    def get(self, path: str) -> bytes:
        return self._send("GET", path).content

    def images(self, first: int, count: int) -> list[bytes | int]:
        """Files of images from number `first` on, in the manifest's order and each once: `count` of
        them or fewer. A number below 0 stands for one that the server has not."""
        content = self.get(f"images?first={first}&count={count}")
        found: list[bytes | int] = []
        place = 0
        while place < len(content):
            length = int.from_bytes(content[place : place + 8], signed=True)
            place += 8
            found.append(content[place : place + length] if length >= 0 else length)
            place += max(length, 0)
        return found

    def download(self, digest: str, target: Path) -> None:
        """Write a file of the job. Raises `ValueError` if its content has another sha256."""
        path = f"files/{digest}"
        self._until_done("GET", path, lambda: self._stream(path, target))
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise ValueError(f"the content of {path} has another digest; try again")

    def _stream(self, path: str, target: Path) -> httpx.Response:
        with self._client.stream("GET", path) as response, target.open("wb") as file:
            if not response.is_success:
                response.read()
                return response
            for piece in response.iter_bytes(_PIECE):
                file.write(piece)
        return response

    def claim(self, delivery: int) -> bytes:
        return self._send("POST", f"state/claim?delivery={delivery}").content

    def save(self, delivery: int, state: bytes) -> None:
        self._send("PUT", f"state?delivery={delivery}", state)

    def check(self, delivery: int) -> None:
        """Raises `Superseded` if a later delivery has begun."""
        self._send("POST", f"state/check?delivery={delivery}")

    def forget(self) -> None:
        self._send("DELETE", "state")

    def hand_back(self, delivery: int) -> None:
        """Note that this delivery is handed back on purpose."""
        self._send("PUT", f"handed-back?delivery={delivery}")

    def times_handed_back(self) -> int:
        return int(self._send("GET", "handed-back").json()["deliveries"])

    def check_room(self) -> None:
        """Whether the server can store files."""
        self._send("POST", "room")

    def put(self, path: str, content: bytes | Path) -> tuple[str, int]:
        """Store a file; its sha256 and its size."""
        stored = self._send("PUT", path, content).json()
        return stored["digest"], stored["bytes"]

    def put_source(self, archive: bytes) -> str | None:
        """Store the archive of the code; its sha256, None for a server that takes none."""
        try:
            return self.put("source", archive)[0]
        except httpx.HTTPStatusError as error:
            if error.response.status_code in {404, 405}:
                return None
            raise

    def _send(self, method: str, path: str, content: bytes | Path | None = None) -> httpx.Response:
        def attempt() -> httpx.Response:
            body: Any = _pieces(content) if isinstance(content, Path) else content
            return self._client.request(method, path, content=body)

        return self._until_done(method, path, attempt)

    def _until_done(
        self, method: str, path: str, attempt: Callable[[], httpx.Response]
    ) -> httpx.Response:
        deadline, pause = None, _FIRST_PAUSE
        while True:
            try:
                response = attempt()
                if not _is_trouble(response):
                    break
                reached = response.status_code >= 500 and _is_problem(response)
                problem = f"{response.status_code} {response.text[:200]}"
            except httpx.TransportError as error:
                reached, problem = False, str(error) or type(error).__name__
            deadline = deadline or time.monotonic() + self._patience
            if time.monotonic() >= deadline:
                reason = f"{method} {path} has failed for too long: {problem}"
                raise ServerAway(reason, reached=reached)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        if response.status_code in {401, 409}:
            raise _refusal(response.status_code, response.json())
        response.raise_for_status()
        return response


def _uses_proxy(api_url: str) -> bool:
    """Whether the server is reached through the proxy that the environment names: only over TLS,
    and never one on this machine."""
    server = httpx.URL(api_url)
    try:
        here = ipaddress.ip_address(server.host).is_loopback
    except ValueError:
        here = server.host == "localhost" or server.host.endswith(".localhost")
    return server.scheme == "https" and not here


def _is_trouble(response: httpx.Response) -> bool:
    """Whether the request may succeed later: not one that the server has refused, or whose file it
    has lost. What a proxy says while the server restarts is no refusal, but for too large a file;
    and a server that does not know its name (421) is given it by its operator."""
    status = response.status_code
    if status >= 500:
        return not (status == 500 and _DAMAGED in response.text)
    return status == 421 or (status >= 400 and status != 413 and not _is_problem(response))


def _is_problem(response: httpx.Response) -> bool:
    """Whether Stemma itself has answered, and no proxy."""
    kind: str = response.headers.get("content-type", "")
    return kind.startswith("application/problem+json")


def _refusal(status: int, problem: dict[str, Any]) -> Exception:
    detail = str(problem.get("detail"))
    if status == 401:
        return TokenRefused(
            f"{detail}: STEMMA_API_URL must be the server that sent the job; if it is, and the job"
            " was queued before an update of the server, retry"
        )
    ended = str(problem.get("type")).endswith(_ENDED)
    return TrainingEnded(detail) if ended else Superseded(detail)


def _authorities(url: str) -> ssl.SSLContext | bool:
    """The certificate authorities that vouch for the server; none for one without TLS, since to
    load them takes longer than a request."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
