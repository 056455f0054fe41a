"""The child process, which runs the user's code; the parent has the connection and the lease."""

import os
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from stemma_trainer.contract import TRAINING, Assignment
from stemma_trainer.predicting import Predictor, predict
from stemma_trainer.provenance import Declared
from stemma_trainer.run import Run
from stemma_trainer.store import Superseded, TrainingEnded

ORDERS, REPORTS = "STEMMA_TRAINER_ORDERS", "STEMMA_TRAINER_REPORTS"
"""Environment variables with the numbers of the child's pipes."""

ASSIGNMENT = "STEMMA_TRAINER_ASSIGNMENT"
"""The environment variable from which processes that the child starts have its assignment."""

SUPERSEDED, ENDED = 75, 76
"""EX_TEMPFAIL and EX_PROTOCOL of sysexits.h: another delivery continues; none is needed."""


class Pipe:
    """Lines of JSON to the parent, and its orders. The process ends when the parent does."""

    def __init__(self, orders: int, reports: int) -> None:
        self._orders, self._reports = os.fdopen(orders, "rb"), os.fdopen(reports, "wb")
        self._sent = self._published = 0
        self._changed = threading.Condition()
        self.stop_early = False
        self.assignment = msgspec.json.decode(self._orders.readline(), type=Assignment)
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def report(self, body: dict[str, Any]) -> None:
        self._sent += 1
        self._reports.write(msgspec.json.encode(body) + b"\n")
        self._reports.flush()

    def flush(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._published >= self._sent)

    def _listen(self) -> None:
        while line := self._orders.readline():
            order = msgspec.json.decode(line)
            with self._changed:
                self.stop_early = self.stop_early or order.get("stop_early", False)
                self._published = max(self._published, order.get("published", 0))
                self._changed.notify_all()
        os._exit(1)


class Silence:
    """The channel of a process that does not lead: nothing is reported twice."""

    stop_early = False

    def report(self, body: dict[str, Any]) -> None:
        pass

    def flush(self) -> None:
        pass


def rank() -> int:
    """The number of this process among those of one training, as launchers of torch set it."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def run_follower(train: Callable[[Run], object], device: str) -> None:
    """Carry out the assignment of the process of rank 0, which started this one."""
    assignment = msgspec.json.decode(os.environ[ASSIGNMENT], type=Assignment)
    if assignment.job.purpose != TRAINING:
        raise SystemExit("a predictor runs in one process: start no others")
    train(Run(assignment, Silence(), Declared({}, b""), device, leads=False))


def run_child(
    train: Callable[[Run], object], predictor: Predictor | None, declared: Declared, device: str
) -> None:
    """Carry out one assignment and end the process."""
    pipe = Pipe(int(os.environ[ORDERS]), int(os.environ[REPORTS]))
    os.environ[ASSIGNMENT] = msgspec.json.encode(pipe.assignment).decode()
    run: Run | None = None
    try:
        if pipe.assignment.job.purpose == TRAINING:
            run = Run(pipe.assignment, pipe, declared, device)
            train(run)
            run.finish()
        else:
            predict(predictor, pipe.assignment, pipe, declared, device)
    except Superseded:
        os._exit(SUPERSEDED)
    except TrainingEnded:
        os._exit(ENDED)
    except Exception as error:
        import traceback

        traceback.print_exc()
        if run is None:
            pipe.report({"report": "failed", "reason": f"{type(error).__name__}: {error}"[:2000]})
            pipe.flush()
        else:
            run.fail(error)
    os._exit(0)
