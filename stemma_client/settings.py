"""Where the server is, and the key: arguments, variables, or a data folder near by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec

from stemma_client.errors import StemmaError

RUNTIME_FILE = "runtime.json"
KEY_FILE = "api-key"
DATA_FOLDER = ".stemma"


class Server(NamedTuple):
    """The address of a server, and a key of an account there."""

    url: str
    key: str

    def __repr__(self) -> str:
        """Without the key: tracebacks are shared."""
        return f"Server({self.url!r})"


class _Runtime(msgspec.Struct):
    api_url: str
    api_key: str | None = None


def find_server(url: str | None, key: str | None) -> Server:
    """The server from the arguments, else from STEMMA_API_URL and STEMMA_API_KEY, else from the
    data folder: STEMMA_DATA, or `.stemma` here or in a folder above. Raises `StemmaError`."""
    url = url or os.environ.get("STEMMA_API_URL")
    key = key or os.environ.get("STEMMA_API_KEY")
    runtime, folder = _runtime()
    if url is None:
        if runtime is None:
            raise StemmaError(
                "no server is given, and no data folder of a running server was found: pass url=,"
                " or set STEMMA_API_URL"
            )
        url = runtime.api_url
    if not url.startswith(("http://", "https://")):
        raise StemmaError(
            f"the server's address is {url!r}; it must begin with http:// or https://"
        )
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise StemmaError(f"the server's address is {url!r}: {error}") from error
    if key is None and runtime is not None and runtime.api_url.rstrip("/") == url.rstrip("/"):
        key = runtime.api_key or _first_key(folder)
    key = (key or "").strip()
    if not key:
        raise StemmaError(
            f"no key for {url}: pass key=, or set STEMMA_API_KEY; `stemma keys issue` issues one"
        )
    if not (key.isascii() and key.isprintable()):
        raise StemmaError(f"the key for {url} has characters that no key has: copy it again")
    return Server(url.rstrip("/"), key)


def server_at(url: str) -> Server:
    """The server at an address, without a key where none is found."""
    try:
        return find_server(url, None)
    except StemmaError:
        return Server(url, "")


def _runtime() -> tuple[_Runtime | None, Path]:
    """What `stemma up` wrote into its data folder while it runs, and the folder."""
    named = os.environ.get("STEMMA_DATA")
    here = Path.cwd()
    folders = [Path(named)] if named else [one / DATA_FOLDER for one in (here, *here.parents)]
    for folder in folders:
        if not named and _is_of_another(folder):
            continue
        runtime = _read(folder / RUNTIME_FILE)
        if runtime is not None:
            return runtime, folder
    return None, folders[0]


def _is_of_another(folder: Path) -> bool:
    """Whether another user made a folder, who would get the key: in /tmp anybody may."""
    try:
        return hasattr(os, "getuid") and folder.stat().st_uid not in (0, os.getuid())
    except OSError:
        return False


def _read(path: Path) -> _Runtime | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Runtime)
    except (OSError, msgspec.DecodeError):
        return None


def _first_key(folder: Path) -> str | None:
    try:
        return (folder / KEY_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return None
