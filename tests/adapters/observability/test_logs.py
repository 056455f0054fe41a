"""What a line of log looks like, and what it says of where it comes from."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.observability import logs
from domain.trace_context import trace_id_of

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[Lines]:
    """What the logger `test` writes as JSON."""
    stream = io.StringIO()
    handler = logs.handler("api", logs.JSON, stream)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.removeHandler(handler)


log = logging.getLogger("test")


def test_a_line_has_its_time_level_logger_part_and_ids(written: Lines) -> None:
    with logs.about("ticket 7", version_id="v1"):
        log.warning("%d reports are late", 3, extra={"report": "v1:1:1:9"})
    log.info("after")
    first, second = written()
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "3 reports are late",
        "level": "warning",
        "logger": "test",
        "part": "api",
        "correlation_id": "ticket 7",
        "trace_id": trace_id_of("ticket 7"),
        "version_id": "v1",
        "report": "v1:1:1:9",
    }
    assert "correlation_id" not in second


def test_ids_go_along_into_tasks_and_their_threads(written: Lines) -> None:
    async def in_a_task() -> None:
        await asyncio.to_thread(log.info, "in a thread")

    async def begin() -> None:
        with logs.about("ticket 7", part="relay"):
            task = asyncio.create_task(in_a_task())
        await task

    asyncio.run(begin())
    (line,) = written()
    assert (line["part"], line["correlation_id"]) == ("relay", "ticket 7")


def test_a_traceback_is_one_line_without_secrets(written: Lines) -> None:
    try:
        raise OSError("cannot reach nats://stemma:hunter2@nats:4222")
    except OSError:
        log.exception("part relay failed")
    (line,) = written()
    assert "Traceback" in line["exception"]
    assert "nats://stemma:" in line["exception"]
    assert "hunter2" not in str(line)


def test_for_people_it_is_text() -> None:
    stream = io.StringIO()
    record = logging.LogRecord("test", logging.INFO, "", 0, "up to %d", (7,), None)
    logs.handler("relay", "console", stream).emit(record)
    assert "up to 7" in stream.getvalue()
    assert "part=relay" in stream.getvalue()


def test_what_nobody_caught_is_logged_too() -> None:
    program = """
from adapters.observability import logs
import threading
logs.set_up("relay", "json")
thread = threading.Thread(target=lambda: open("postgresql://u:hunter2@db/x"))
thread.start()
thread.join()
raise ValueError("whsec_hunter2hunter2")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "uncaught: FileNotFoundError",
        "uncaught: ValueError",
    ]
    assert ended.returncode == 1
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize("form", [logs.JSON, "console"])
def test_text_of_others_forges_no_line(form: str) -> None:
    stream = io.StringIO()
    handler = logs.handler("api", form, stream)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        log.info(
            "import of %s", "a\n2026 [info] all is well\x1b[2J\u202e", extra={"name_": "b\rc\n"}
        )
        try:
            raise ValueError("first\x1b[2J")
        except ValueError:
            log.exception("failed")
    finally:
        log.removeHandler(handler)
    written = stream.getvalue()
    first, *rest = written.splitlines()
    assert "all is well" in first
    assert "failed" in rest[0]
    assert not [char for char in "\x1b\u202e\r" if char in written]
    assert "Traceback" in written
