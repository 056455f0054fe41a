"""The configuration of logging for all processes: text for people, or JSON for machines.

All code logs through the standard library. A line contains the ids that were bound with `about` by
its callers.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from adapters.observability.masking import masked
from domain.text import escaped, escaped_lines
from domain.trace_context import trace_id_of

JSON = "json"
_QUIET = ("httpx", "alembic", "granian", "psycopg.pool", "urllib3")

log = logging.getLogger(__name__)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Masks the finished line, including all fields and tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def set_up(part: str, log_format: str, *, verbose: bool = False) -> None:
    """Log to stderr from now on, including uncaught exceptions; effective once in a process.

    `part` is the `part` field of a line, unless another is bound.
    """
    if logging.getLogger().handlers:
        return
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        handlers=[handler(part, log_format, sys.stderr)],
    )
    for chatty in _QUIET:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda died: _log_uncaught(
        died.exc_type, died.exc_value, died.exc_traceback
    )


def handler(part: str, log_format: str, stream: TextIO) -> logging.Handler:
    """A handler that writes the lines of the standard library's loggers to a stream."""

    def from_part(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("part", part)
        return event

    stream_handler = logging.StreamHandler(stream)
    stream_handler.setFormatter(
        _Formatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                from_part,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _escape,
                _renderer(log_format, stream),
            ],
        )
    )
    return stream_handler


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escape what would forge a line, reorder it, or control the terminal that shows it.

    Only tracebacks have several lines.
    """
    for name, value in event.items():
        if isinstance(value, str):
            several = name in ("exception", "stack", "stack_info")
            event[name] = escaped_lines(value) if several else escaped(value)
    return event


def _renderer(log_format: str, stream: TextIO) -> Processor:
    if log_format == JSON:
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=0)


@contextmanager
def about(correlation_id: str | None = None, **ids: str | int) -> Iterator[None]:
    """Bind ids to all lines logged within, also by tasks and threads started within."""
    if correlation_id is not None:
        ids |= {"correlation_id": correlation_id, "trace_id": trace_id_of(correlation_id)}
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if error is None or issubclass(kind, (SystemExit, KeyboardInterrupt)):
        return
    log.critical("uncaught: %s", kind.__name__, exc_info=(kind, error, traceback))
