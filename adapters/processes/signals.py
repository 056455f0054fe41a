"""The signals that ask this process to stop, as an event that threads can wait for."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set within the block. Only in the main thread.

    A handler runs between any two instructions of the main thread, so also within `Event.wait`,
    which holds a lock that `Event.set` takes: set by the handler, the event would wait for itself.
    So the handler writes to a pipe, and a thread sets the event.
    """
    stop = threading.Event()
    reader, writer = os.pipe()

    def set_on_signal() -> None:
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while pipe.read(1):
                stop.set()

    thread = threading.Thread(target=set_on_signal, name="stop signals", daemon=True)
    thread.start()
    former = [signal.signal(number, lambda *_: os.write(writer, b"\0")) for number in STOP_SIGNALS]
    try:
        yield stop
    finally:
        for number, handler in zip(STOP_SIGNALS, former, strict=True):
            signal.signal(number, handler)
        os.close(writer)
        thread.join()
