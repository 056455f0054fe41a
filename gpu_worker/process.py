"""The parent's end of a child process: start it, read its reports, end it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import msgspec

from domain.training.messages import AnyReport
from gpu_worker.channel import Assignment, Published, StopEarly, encode_line

# The longest line accepted; reading, and through the pipe the child, pauses at twice as much.
_LINE_BYTES = 1 << 20

# OpenMP's threads spin while they wait for each other. With other load on the same cores this made
# iterations 2 to 20 times longer (measured on 2 cores); threads that sleep cost nothing.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


class Child:
    """A running `gpu_worker.child`."""

    def __init__(self, process: asyncio.subprocess.Process, reports: asyncio.StreamReader) -> None:
        self._process = process
        self._reports = reports
        self._decoder = msgspec.json.Decoder(AnyReport)

    @classmethod
    async def start(cls, assignment: Assignment) -> "Child":
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gpu_worker.child",
                str(writing),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(writing,),
                env=PATIENT_THREADS | os.environ,
            )
        finally:
            os.close(writing)
        reports = asyncio.StreamReader(limit=_LINE_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reports), os.fdopen(reading, "rb")
        )
        child = cls(process, reports)
        child._order(encode_line(assignment))
        return child

    async def reports(self) -> AsyncIterator[AnyReport]:
        """The reports of the child until it ends. A line cut short by its death is dropped."""
        while (line := await self._reports.readline()).endswith(b"\n"):
            yield self._decoder.decode(line)

    def published(self, count: int) -> None:
        """Send the child the number of its stored reports."""
        self._order(encode_line(Published(count)))

    def stop_early(self) -> None:
        """Request its end after the running epoch."""
        self._order(encode_line(StopEarly()))

    async def ended(self) -> int:
        """Wait for the end and return the exit status, or the negated signal number."""
        return await self._process.wait()

    async def kill(self) -> None:
        """Kill it. Nothing is lost: the next one resumes from its checkpoint."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def _order(self, line: bytes) -> None:
        orders = self._process.stdin
        if orders is not None and not orders.is_closing():
            orders.write(line)
