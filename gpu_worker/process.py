"""The parent's end of a child process: start it, read its reports, end it.

Children are forked by a process that has imported torch (multiprocessing's *forkserver*), which the
first one starts: importing takes seconds, forking does not. It computes nothing and never touches a
GPU, so each child finds torch as a fresh process would.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import msgspec

from domain.training.messages import AnyReport
from gpu_worker.channel import Assignment, Published, StopEarly, encode_line
from gpu_worker.child import run

# The longest line accepted; reading, and through the pipe the child, pauses at twice as much.
_LINE_BYTES = 1 << 20

# OpenMP's threads spin while they wait for each other. With other load on the same cores this made
# iterations 2 to 20 times longer (measured on 2 cores); threads that sleep cost nothing.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}

_FORKING = get_context("forkserver")
_FORKING.set_forkserver_preload(["gpu_worker.forked"])


class Child:
    """A process that runs `gpu_worker.child`."""

    def __init__(
        self, process: BaseProcess, reports: asyncio.StreamReader, orders: asyncio.WriteTransport
    ) -> None:
        self._process = process
        self._reports = reports
        self._orders = orders
        self._decoder = msgspec.json.Decoder(AnyReport)
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._exit)

    @classmethod
    async def start(cls, assignment: Assignment) -> "Child":
        """Raises `ChildProcessError` if the process that forks died in the meantime; a later call
        starts another one."""
        for name, value in PATIENT_THREADS.items():
            os.environ.setdefault(name, value)
        orders_in, orders_out = _FORKING.Pipe(duplex=False)
        reports_in, reports_out = _FORKING.Pipe(duplex=False)
        with orders_in, orders_out, reports_in, reports_out:
            environment = dict(os.environ)
            process = _FORKING.Process(target=run, args=(orders_in, reports_out, environment))
            try:
                await asyncio.to_thread(process.start)
            except (EOFError, OSError) as error:
                raise ChildProcessError(
                    f"the training process could not be started: {error}"
                ) from error
            loop = asyncio.get_running_loop()
            reports = asyncio.StreamReader(limit=_LINE_BYTES)
            await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reports),
                os.fdopen(os.dup(reports_in.fileno()), "rb"),
            )
            orders, _ = await loop.connect_write_pipe(
                asyncio.BaseProtocol, os.fdopen(os.dup(orders_out.fileno()), "wb")
            )
        child = cls(process, reports, orders)
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
        await self._exited.wait()
        status = self._process.exitcode
        assert status is not None
        return status

    async def kill(self) -> None:
        """Kill it. Nothing is lost: the next one resumes from its checkpoint."""
        self._process.kill()
        await self.ended()
        self._orders.close()

    def _exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._exited.set()

    def _order(self, line: bytes) -> None:
        if not self._orders.is_closing():
            self._orders.write(line)
