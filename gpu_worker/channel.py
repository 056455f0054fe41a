"""What parent and child say to each other: lines of JSON over two pipes.

Down the child's stdin goes its assignment, then for every report the number of those published so
far. Up a descriptor of its own come the reports; stdout is left to libraries that print.
"""

import os
import threading
from typing import BinaryIO

import msgspec

from adapters.settings import Settings
from domain.messages import AnyReport, TrainJob

SUPERSEDED = 75


class Assignment(msgspec.Struct, frozen=True):
    """The job of one child, and the delivery of it that this is."""

    job: TrainJob
    delivery: int
    settings: Settings


def encode_line(message: object) -> bytes:
    return msgspec.json.encode(message, enc_hook=str) + b"\n"


def decode_assignment(line: bytes) -> Assignment:
    return msgspec.json.decode(line, type=Assignment, dec_hook=lambda kind, value: kind(value))


class Channel:
    """The child's end. It ends the process when the parent's end closes, however that died."""

    def __init__(self, orders: BinaryIO, reports: int) -> None:
        self._orders = orders
        self._reports = os.fdopen(reports, "wb")
        self._said = self._published = 0
        self._moved = threading.Condition()
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
        while line := self._orders.readline():
            with self._moved:
                self._published = int(line)
                self._moved.notify_all()
        os._exit(1)
