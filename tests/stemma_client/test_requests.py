"""Requests and errors by themselves: what is refused before it is sent, and what is passed on."""

import copy
import pickle
from typing import Any

import pytest

from stemma_client import (
    ApiError,
    Invalid,
    PresentOnly,
    ReadOnly,
    Stemma,
    StemmaError,
    TrainingFailed,
    answers,
    operations,
)
from stemma_client.past import TIMELESS
from stemma_client.requests import following
from stemma_client.versions import Version

HERE = Stemma("http://127.0.0.1:9", "secret-of-a-test", patience=0, timeout=7)


@pytest.mark.parametrize("key", ["", "größe", "two\nlines", "k" * 201])
def test_a_key_that_cannot_be_sent_is_refused_and_never_replaced(key: str) -> None:
    with pytest.raises(StemmaError, match="key must have 1 to 200 printable ASCII characters"):
        HERE.projects.create("Keyed", key=key)


def test_a_traceback_does_not_show_the_key() -> None:
    session = HERE.transport.session
    assert "secret-of-a-test" not in f"{HERE!r} {session.server!r} {session!r}"


def test_an_answer_that_is_held_has_more_time() -> None:
    session = HERE.transport.session
    held = session.prepared(operations.get_version("v", wait=20.0))["timeout"]
    at_once = session.prepared(operations.get_version("v"))["timeout"]
    assert (held.read, held.connect, at_once.read) == (25.0, 5.0, 5.0)


def test_the_past_never_answers_with_the_present() -> None:
    then = HERE.at(5)
    assert then.transport.session.prepared(operations.list_projects())
    with pytest.raises(PresentOnly, match="list_imports knows only the present, not 5"):
        then.send(operations.list_imports("p"))
    with pytest.raises(PresentOnly):
        next(then.events())
    with pytest.raises(ReadOnly):
        then.projects.create("Late")
    with pytest.raises(PresentOnly, match="does not change"):
        Version(then, answers.VersionRow(version_id="v", name="n", status="queued")).wait()


def test_what_is_timeless_is_a_query_without_a_past() -> None:
    assert operations.ANSWERS.keys() >= TIMELESS
    for name in TIMELESS:
        assert "as_of" not in getattr(operations, name).__code__.co_varnames


def test_a_list_that_would_not_end_is_refused() -> None:
    assert following("b", "a") == "b"
    assert following(None, "a") is None
    with pytest.raises(StemmaError, match="as the one behind itself"):
        following("a", "a")


ROW = answers.VersionRow(version_id="v", name="v1", status="failed", reason="out of memory")


@pytest.mark.parametrize(
    "error",
    [
        StemmaError("simple"),
        Invalid(
            "wrong", status=422, kind="invalid", errors=[answers.FieldError(field="f", detail="d")]
        ),
        TrainingFailed(ROW),
        TrainingFailed(ROW, Version(HERE, ROW)),
    ],
)
def test_errors_pass_between_processes(error: StemmaError) -> None:
    """A pool whose worker raises one that cannot be read waits for ever."""
    read: Any = pickle.loads(pickle.dumps(error))
    assert (type(read), str(read)) == (type(error), str(error))
    for name in ("status", "errors", "reason", "row"):
        assert getattr(read, name, None) == getattr(error, name, None)
    if isinstance(error, ApiError):
        assert read.fields == {"f"}


def test_a_copy_in_this_process_keeps_its_key() -> None:
    copies = copy.copy(HERE), copy.deepcopy(Version(HERE, ROW)).client
    assert all(one is HERE for one in copies)


def test_a_client_passes_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = pickle.dumps([HERE, HERE.at(7), Version(HERE, ROW)])
    assert b"secret-of-a-test" not in stored
    monkeypatch.setenv("STEMMA_API_KEY", "of-that-process")
    client, then, run = pickle.loads(stored)
    assert client.transport.session.server.key == "of-that-process"
    assert (client.url, client.correlation_id) == (HERE.url, HERE.correlation_id)
    assert then.transport.session.as_of == "7"
    assert run == Version(HERE, ROW)
    monkeypatch.delenv("STEMMA_API_KEY")
    assert pickle.loads(stored)[0].transport.session.server.key == ""
