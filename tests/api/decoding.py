"""Answers of the API, decoded into the types of the Python package."""

import json
import re
from functools import cache
from typing import Any

import httpx
import msgspec

from api.contract.document import FILE
from stemma_client import operations


@cache
def _operations() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """The operations of each method: a pattern of their addresses, and their names."""
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    paths = json.loads(FILE.read_text(encoding="utf-8"))["paths"]
    for path in sorted(paths, key=lambda one: one.count("{")):  # what is named goes before an id
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        for method, operation in paths[path].items():
            found.setdefault(method.upper(), []).append((pattern, operation["operationId"]))
    return found


@cache
def _decoder(name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(operations.ANSWERS[name])


def decode_answer(method: str, path: str, content: bytes) -> None:
    """Raises `msgspec.ValidationError` for an answer that the package cannot read."""
    for pattern, name in _operations().get(method, []):
        if pattern.fullmatch(path):
            _decoder(name).decode(content)
            return


def decodes(response: httpx.Response) -> None:
    """A hook of a client: what succeeds with JSON can be read by the package."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    if response.is_success and media_type == "application/json":
        decode_answer(response.request.method, response.request.url.path, response.read())
