"""docs/openapi.json is that of the code, and its operations are named in plain words."""

import re
from pathlib import Path

import pytest

from api.contract import document
from api.contract.document import Incompatible, current_document, is_current, write

VERBS = [
    "accept",
    "add",
    "annotate",
    "archive",
    "retire",
    "assign",
    "begin",
    "cancel",
    "close",
    "compare",
    "correct",
    "create",
    "decide",
    "download",
    "draw",
    "end",
    "erase",
    "estimate",
    "evaluate",
    "export",
    "follow",
    "fork",
    "get",
    "grant",
    "issue",
    "list",
    "name",
    "open",
    "pause",
    "prove",
    "register",
    "reject",
    "remove",
    "rename",
    "replay",
    "request",
    "restore",
    "resume",
    "retry",
    "review",
    "revoke",
    "rotate",
    "set",
    "start",
    "stop",
    "test",
    "train",
    "upload",
    "withdraw",
]


def test_the_committed_document_is_that_of_the_code() -> None:
    assert is_current(), "run `make contract`"


def test_operations_are_named_by_a_verb_and_its_object() -> None:
    names = [
        operation["operationId"]
        for operations in current_document()["paths"].values()
        for operation in operations.values()
    ]
    assert len(set(names)) == len(names)
    pattern = re.compile(f"(whoami|({'|'.join(VERBS)})(_[a-z]+)+)")
    assert [name for name in names if not pattern.fullmatch(name)] == []


def test_a_change_that_breaks_clients_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "FILE", tmp_path / "openapi.json")
    assert write()
    assert not write()
    written = current_document()
    operation = written["paths"]["/api/v1/projects"]["get"]
    parameter = {"in": "query", "name": "colour", "schema": {"type": "string"}}
    operation["parameters"].append(parameter)
    document.FILE.write_text(document.as_text(written), encoding="utf-8")
    with pytest.raises(Incompatible, match="projects: query parameter `colour` is gone"):
        write()
    written["info"]["version"] = "0"
    document.FILE.write_text(document.as_text(written), encoding="utf-8")
    assert write()
    assert is_current()
