"""Why a request cannot be carried out at the moment: what the server depends on is away or full."""

import errno
import re
from collections.abc import Iterator

import psycopg
from obstore.exceptions import BaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_DATABASE_AWAY = "the database does not answer at the moment; try again"
_DATABASE = {
    "53100": "the database has no space left on its disk: free some, and try again",
    "53200": "the database has no memory left; try again",
    "53300": "the database takes no more connections; try again",
    "25006": "the database can only be read at the moment; try again",
}
"""By SQLSTATE; others of the classes below are `_DATABASE_AWAY`."""
_DATABASE_CLASSES = ("08", "53", "57", "58", "F0", "XX")

_FILES = {
    errno.ENOSPC: "no space is left on the server's disk: have its operator free some",
    errno.EDQUOT: "the server's quota of disk space is used up: have its operator free some",
    errno.EROFS: "the server's disk can only be read: tell its operator",
    errno.EIO: "the server's disk does not answer: tell its operator",
    errno.ENXIO: "the server's disk does not answer: tell its operator",
    errno.ESTALE: "the server's disk does not answer: tell its operator",
    errno.ENOTCONN: "the server's disk does not answer: tell its operator",
    errno.EMFILE: "the server has as many files open as it may (`ulimit -n`); try again",
    errno.ENFILE: "the server's machine has as many files open as it may; try again",
    errno.ENOMEM: "the server has no memory left; try again",
}
_BLOBS_AWAY = "the blob store does not answer; try again, or tell the operator"


def reason_of(error: BaseException) -> str | None:
    """What is away or full, by an error or what it came from; None for a defect of the server."""
    for each in _chain(error):
        match each:
            case psycopg.Error() if (reason := _of_database(each)) is not None:
                return reason
            case PoolTimeout():
                return "all connections to the database are in use; try again"
            case OSError() if each.errno in _FILES:
                return _FILES[each.errno]
            case BaseError():
                number = re.search(r"\(os error (\d+)\)", str(each))
                return _FILES.get(int(number[1]), _BLOBS_AWAY) if number else _BLOBS_AWAY
    return None


def _of_database(error: psycopg.Error) -> str | None:
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return _DATABASE_AWAY if lost else None
    if state in _DATABASE:
        return _DATABASE[state]
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
