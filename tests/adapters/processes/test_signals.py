"""A signal stops a process at whatever instruction it arrives."""

import signal
import subprocess
import sys

import pytest

from adapters.processes.signals import STOP_SIGNALS
from tests.waiting import HANG_SECONDS

# Nearly always within a wait, where a handler that set the event itself would hang every second
# time.
WAITS = """
from adapters.processes.signals import stopping_on_signals
with stopping_on_signals() as stop:
    print("ready", flush=True)
    while not stop.wait(0):
        pass
print("stopped")
"""


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_amid_a_wait_stops_the_process(number: signal.Signals) -> None:
    for _ in range(10):
        waiting = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True)
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "ready\n"
        waiting.send_signal(number)
        assert waiting.communicate(timeout=HANG_SECONDS)[0] == "stopped\n"
        assert waiting.returncode == 0
