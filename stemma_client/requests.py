"""Requests of the API, built apart from sending them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from stemma_client.errors import StemmaError

T = TypeVar("T")

ARROW = "application/vnd.apache.arrow.stream"


class Request(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A request of an operation, and the type of its answer.

    A command changes something, once for each Idempotency-Key. `accepts` are those of `cursor`,
    `at_least` and `as_of` that the operation takes. `media_types` is what the answer may be, if it
    is not what the operation answers with by itself.
    """

    name: str
    method: str
    path: str
    answer: Any
    query: Mapping[str, Any] = {}
    body: Any = None
    media_type: str = "application/json"
    is_command: bool = False
    accepts: frozenset[str] = frozenset()
    media_types: str | None = None

    @property
    def is_safe(self) -> bool:
        """Whether it is safe to send again."""
        return self.method == "GET" or self.is_command

    def parameters(self, **more: Any) -> list[tuple[str, str]]:
        """The query's parameters that have a value; lists are repeated."""
        pairs = []
        for name, value in {**self.query, **more}.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            pairs += [(name, _text(each)) for each in values if each is not None]
        return pairs


def as_arrow(request: Request[Any], **parameters: Any) -> Request[bytes]:
    """The same request, with these parameters, for an answer in Arrow's stream format; an older
    server sends JSON."""
    values = {name: getattr(request, name) for name in request.__struct_fields__}
    accepted = {"answer": bytes, "media_types": f"{ARROW}, application/json;q=0.1"}
    return Request(**{**values, **accepted, "query": {**request.query, **parameters}})


def following(found: str | None, cursor: str | None) -> str | None:
    """The cursor of the next page. Raises `StemmaError` for the one of this page: it would not
    end."""
    if found is not None and found == cursor:
        raise StemmaError(f"the server names page {cursor!r} as the one behind itself")
    return found


def path_of(template: str, **values: object) -> str:
    """A path with its parameters, escaped."""
    for name, value in values.items():
        if not str(value):
            raise ValueError(f"{name} is empty")
        template = template.replace(f"{{{name}}}", quote(str(value), safe=""))
    return template


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
