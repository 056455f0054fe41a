"""The protocol of parent and child: lines of JSON over two pipes.

One carries the child's assignment, then orders: after every report how many have been published so
far, and the request to stop early. The other carries the reports.
"""

import os
import threading
from typing import BinaryIO

import msgspec

from adapters.settings import Settings
from domain.training.jobs import Job
from domain.training.messages import AnyReport, TrainJob

SUPERSEDED, ENDED = 75, 76
"""Exit statuses of the child, EX_TEMPFAIL and EX_PROTOCOL of sysexits.h: a later delivery goes on,
and nothing is left to do."""

DISK_FULL, NOT_SERVED, AWAY = 74, 71, 69
"""EX_IOERR, EX_OSERR and EX_UNAVAILABLE: the disk is full; the server cannot read or store a file;
it does not answer."""


class Assignment(msgspec.Struct, frozen=True):
    """The job of one child, and the number of its delivery."""

    job: Job
    delivery: int
    settings: Settings

    @property
    def training(self) -> TrainJob:
        """The job of a process that does nothing but train."""
        assert isinstance(self.job, TrainJob)
        return self.job


class Published(msgspec.Struct, frozen=True, tag="published"):
    """The number of the child's reports that are stored."""

    count: int


class StopEarly(msgspec.Struct, frozen=True, tag="stop_early"):
    """End after the running epoch, and keep the best weights so far."""


Order = Published | StopEarly


def encode_line(message: object) -> bytes:
    return msgspec.json.encode(message, enc_hook=str) + b"\n"


def decode_assignment(line: bytes) -> Assignment:
    return msgspec.json.decode(line, type=Assignment, dec_hook=lambda kind, value: kind(value))


class Channel:
    """The child's end. It ends the process when the parent's end closes, whatever the cause.

    `stop_wanted` is set once the parent has passed on the request to stop early.
    """

    def __init__(self, orders: BinaryIO, reports: int) -> None:
        self._orders = orders
        self._reports = os.fdopen(reports, "wb")
        self._sent = self._published = 0
        self._changed = threading.Condition()
        self.stop_wanted = threading.Event()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def report(self, report: AnyReport) -> None:
        """Send a report to the parent; a full pipe makes the training wait."""
        self._sent += 1
        self._reports.write(encode_line(report))
        self._reports.flush()

    def flush(self) -> None:
        """Wait until every report has been published."""
        with self._changed:
            self._changed.wait_for(lambda: self._published >= self._sent)

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder[Order](Order)
        while line := self._orders.readline():
            match decoder.decode(line):
                case Published(count):
                    with self._changed:
                        self._published = count
                        self._changed.notify_all()
                case StopEarly():
                    self.stop_wanted.set()
        os._exit(1)
