"""What parent and child say to each other: lines of JSON over two pipes.

Down the child's stdin goes its assignment, then orders: for every report how many have been
published so far, and the wish to stop early. Up a descriptor of its own come the reports; stdout
is left to libraries that print.
"""

import os
import threading
from typing import BinaryIO

import msgspec

from adapters.settings import Settings
from domain.training.messages import AnyReport, TrainJob

SUPERSEDED = 75


class Assignment(msgspec.Struct, frozen=True):
    """The job of one child, and the delivery of it that this is."""

    job: TrainJob
    delivery: int
    settings: Settings


class Published(msgspec.Struct, frozen=True, tag="published"):
    """So many of the child's reports are safe."""

    count: int


class StopEarly(msgspec.Struct, frozen=True, tag="stop_early"):
    """End after the running epoch, and keep the best weights so far."""


Order = Published | StopEarly


def encode_line(message: object) -> bytes:
    return msgspec.json.encode(message, enc_hook=str) + b"\n"


def decode_assignment(line: bytes) -> Assignment:
    return msgspec.json.decode(line, type=Assignment, dec_hook=lambda kind, value: kind(value))


class Channel:
    """The child's end. It ends the process when the parent's end closes, however that died.

    `stop_wanted` is set once the parent has passed on the wish to stop early.
    """

    def __init__(self, orders: BinaryIO, reports: int) -> None:
        self._orders = orders
        self._reports = os.fdopen(reports, "wb")
        self._said = self._published = 0
        self._moved = threading.Condition()
        self.stop_wanted = threading.Event()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def say(self, report: AnyReport) -> None:
        """Hand a report to the parent; a full pipe makes the training wait."""
        self._said += 1
        self._reports.write(encode_line(report))
        self._reports.flush()

    def settle(self) -> None:
        """Wait until everything said has been published."""
        with self._moved:
            self._moved.wait_for(lambda: self._published >= self._said)

    def _listen(self) -> None:
        decoder = msgspec.json.Decoder[Order](Order)
        while line := self._orders.readline():
            match decoder.decode(line):
                case Published(count):
                    with self._moved:
                        self._published = count
                        self._moved.notify_all()
                case StopEarly():
                    self.stop_wanted.set()
        os._exit(1)
