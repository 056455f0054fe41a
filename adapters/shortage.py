"""Errors by which this machine says that it has no more of something.

They are no fault of a file, a server or a program: what fails by one succeeds once there is more.
"""

import errno

_OF_SYSTEM = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is exceeded: free some space, or raise it",
    errno.EMFILE: "the process has no file descriptors left: raise its limit (`ulimit -n`)",
    errno.ENFILE: "the machine has no file descriptors left: raise its limit (`fs.file-max`)",
    errno.ENOMEM: "the machine has no memory left",
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, class 53
_OF_DATABASE = {
    "53100": "the database's disk is full: free some space there",
    "53200": "the database's machine has no memory left",
    "53300": "the database has no connections left: raise its `max_connections`",
}


def shortage(error: BaseException | None) -> str | None:
    """What is short, and what to do, if that is what an error or one of its causes says."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_SYSTEM:
            return _OF_SYSTEM[error.errno]
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate in _OF_DATABASE:
            return _OF_DATABASE[sqlstate]
        error = error.__cause__ or error.__context__
    return None


def is_of_database(error: BaseException | None) -> bool:
    """Whether it is the database that says that it has no more of something."""
    return shortage(error) in _OF_DATABASE.values()


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error of this machine, or one of its causes, says that a disk is full."""
    return shortage(error) in (_OF_SYSTEM[errno.ENOSPC], _OF_SYSTEM[errno.EDQUOT])
