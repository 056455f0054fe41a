"""The committed OpenAPI document, from the code."""

import json
from pathlib import Path
from typing import Any

import msgspec

from adapters.settings import Settings
from api.app import create_app
from api.contract.compatibility import find_breaking_changes
from api.openapi import complete

Json = dict[str, Any]

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


class Incompatible(Exception):
    """The API would break clients of its version; a line for each change."""


def current_document() -> Json:
    """The document of the code, as `/schema/openapi.json` of a running system has it."""
    app = create_app(Settings(data=Path()))
    document = complete(app.openapi_schema.to_schema(), app)
    # As it is sent, without tuples and the like.
    decoded: Json = msgspec.json.decode(msgspec.json.encode(document))
    return decoded


def as_text(document: Json) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def is_current() -> bool:
    """Whether the committed file is that of the code."""
    return FILE.exists() and FILE.read_text(encoding="utf-8") == as_text(current_document())


def write() -> bool:
    """Bring the committed file up to date; whether it changed.

    Raises `Incompatible`: a change that breaks clients takes another `info.version`.
    """
    document = current_document()
    text = as_text(document)
    if FILE.exists():
        before = FILE.read_text(encoding="utf-8")
        if before == text:
            return False
        committed = json.loads(before)
        if committed["info"]["version"] == document["info"]["version"]:
            changes = list(find_breaking_changes(committed, document))
            if changes:
                raise Incompatible("\n".join(changes))
    FILE.write_text(text, encoding="utf-8")
    return True
