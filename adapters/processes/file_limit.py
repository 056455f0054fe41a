"""The limit of open files of this process (RLIMIT_NOFILE), raised as far as is allowed."""

import resource

WANTED = 65_536


def raise_file_limit(wanted: int = WANTED) -> int:
    """Raise the limit towards `wanted`, as far as the hard limit allows; the limit there is then.

    A limit that is higher already stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
