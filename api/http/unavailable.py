"""Why a request cannot be carried out at the moment: what the server depends on is away or full."""

import errno
import re
from collections.abc import Iterator

import psycopg
from obstore.exceptions import BaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adapters.shortage import shortage

_DATABASE_AWAY = "the database does not answer at the moment; try again"
_READ_ONLY = "25006", "the database is read-only at the moment; try again"
_DATABASE_CLASSES = ("08", "53", "57", "58", "F0", "XX")

_FILES = {
    errno.EROFS: "the server's disk is read-only: tell the operator",
    **dict.fromkeys(
        (errno.EIO, errno.ENXIO, errno.ESTALE, errno.ENOTCONN),
        "the server's disk does not answer: tell the operator",
    ),
}
"""Besides what `shortage` knows."""
_BLOBS_AWAY = "the blob store does not answer; try again, or tell the operator"


def reason_of(error: BaseException) -> str | None:
    """What is away or full, by an error or what it came from; None for a defect of the server."""
    for each in _chain(error):
        if (short := shortage(each)) is not None:
            return f"{short}; then try again"
        match each:
            case psycopg.Error() if (reason := _of_database(each)) is not None:
                return reason
            case PoolTimeout():
                return "all connections to the database are in use; try again"
            case OSError() if each.errno in _FILES:
                return _FILES[each.errno]
            case BaseError():
                number = re.search(r"\(os error (\d+)\)", str(each))
                of_disk = reason_of(OSError(int(number[1]), "")) if number else None
                return of_disk or _BLOBS_AWAY
    return None


def _of_database(error: psycopg.Error) -> str | None:
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return _DATABASE_AWAY if lost else None
    if state == _READ_ONLY[0]:
        return _READ_ONLY[1]
    return _DATABASE_AWAY if state.startswith(_DATABASE_CLASSES) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [getattr(each, "orig", None), each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
