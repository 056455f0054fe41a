"""The start of a trainer's worker: wrong settings, and a NATS that cannot be reached."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stemma_trainer.connection import Connection
from stemma_trainer.settings import Settings

URL = "nats://somebody:password@127.0.0.1:1"
GOOD = {"STEMMA_API_URL": "http://127.0.0.1:1", "STEMMA_NATS_URL": URL}


def start(folder: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    (folder / "train.py").write_text(
        "from stemma_trainer import Form, trainer\n"
        "@trainer('acme/own', Form('classification'))\n"
        "def train(run): ...\n"
        "train.serve()\n"
    )
    own = {name: text for name, text in os.environ.items() if not name.startswith("STEMMA_")}
    return subprocess.Popen(
        [sys.executable, str(folder / "train.py")],
        cwd=folder,
        env=own | {"PYTHONPATH": str(Path(__file__).parents[2])} | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"STEMMA_API_URL": ""}, "STEMMA_API_URL is not set: set it to the address of Stemma"),
        ({"STEMMA_API_URL": "stemma:7070"}, "STEMMA_API_URL is not an address that begins with"),
        ({"STEMMA_NATS_URL": ""}, "STEMMA_NATS_URL is not set: set it to the address of NATS"),
        ({"STEMMA_NATS_URL": "nats://a:b"}, "STEMMA_NATS_URL is not an address that begins with"),
        (
            {"STEMMA_NATS_SEED": "gpu7.seed"},
            "STEMMA_NATS_SEED is no seed, and the file gpu7.seed cannot be read (No such file or"
            " directory): issue one by `stemma trainers issue-seed`",
        ),
        (
            {"STEMMA_NATS_SEED": "train.py"},
            "the file train.py of STEMMA_NATS_SEED has no seed in it: issue one by",
        ),
    ],
)
def test_a_wrong_setting_is_named_in_a_line(
    tmp_path: Path, settings: dict[str, str], problem: str
) -> None:
    with start(tmp_path, GOOD | settings) as process:
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 2
    assert printed.startswith(problem)
    assert printed.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_nats_that_cannot_be_reached_is_named_and_a_signal_ends_the_wait(
    tmp_path: Path, number: signal.Signals
) -> None:
    with start(tmp_path, GOOD) as process:
        assert process.stderr is not None
        printed = process.stderr.readline()
        process.send_signal(number)
        try:
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    assert "NATS cannot be reached at nats://127.0.0.1:1 (" in printed
    assert "the worker keeps trying" in printed


def test_a_nats_that_cannot_be_reached_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings("http://127.0.0.1:1", URL, "w", "", "cache")

    async def three_attempts() -> None:
        connection = Connection(settings, asyncio.Event())
        for _ in range(3):
            await connection.failed(ConnectionRefusedError("refused"))
        await connection.reached()
        await connection.failed(ConnectionRefusedError("refused"))

    with caplog.at_level("INFO", logger="stemma_trainer"):
        asyncio.run(three_attempts())
    away, back, again = [record.message for record in caplog.records]
    assert away == again
    assert "password" not in away
    assert "reached again" in back
