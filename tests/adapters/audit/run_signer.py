"""Signs a log again and again, killed at the moment that each line of the input names.

A moment is one at which something outside the process has just changed, or is about to.
"""

import itertools
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.adapters.audit.logs import Signed
from tests.servers import Database

FILES = {"fsync", "write", "replace", "truncate", "ftruncate"}
SQL = {"execute", "executemany", "commit", "__exit__"}


def sign(moment: int) -> None:
    moments = itertools.count()

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            counts = called.__name__ in FILES
        else:
            counts = event == "call" and frame.f_code.co_name in SQL
            counts = counts and "psycopg" in frame.f_code.co_filename
        if counts and next(moments) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
    signed = Signed(Database("", "", sys.argv[1]), Path(sys.argv[2]))
    signed.signer().sign_if_due()
    sys.setprofile(None)


for line in sys.stdin:
    if (child := os.fork()) == 0:
        sign(int(line))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    outcomes = {0: "survived", -signal.SIGKILL: "killed"}
    print(outcomes[os.waitstatus_to_exitcode(status)], flush=True)
