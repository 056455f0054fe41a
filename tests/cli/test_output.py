"""Tables for people: what is never cut."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from adapters.training.worker_pool import WorkerPool
from cli.operations.status import _workers
from cli.output import table_of
from cli.training.trainers import _trainer_row
from domain.training.messages import WorkerPresence

QUEUE = "trainer--acme--logistic-regression--0198c5f0-1c2d-7000-8000-0123456789ab"
ID = "0198c5f0-1c2d-7000-8000-0123456789ab"


@pytest.mark.parametrize("name", ["id", "view id", "queue"])
def test_ids_and_queues_are_not_cut_in_a_narrow_terminal(name: str) -> None:
    console = Console(width=len(QUEUE) + 20)
    with console.capture() as captured:
        console.print(table_of(("about", name), [("many words " * 9, QUEUE)]))
    assert QUEUE in captured.get()


def test_the_version_that_a_worker_trains_is_not_cut() -> None:
    since = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    worker = WorkerPresence("gpu7", "a device with a long name", ID, since, "trouble " * 9)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(_workers(WorkerPool([worker], 0, 1)))
    assert ID in captured.get()


def test_a_whole_number_has_no_fraction() -> None:
    settings = [
        {"key": "epochs", "default": 5.0},
        {"key": "rate", "default": 0.01},
        {"key": "balanced", "default": True},
    ]
    trainer = {
        "name": "acme/a",
        "kinds": ["tagging"],
        "format": "onnx",
        "predicts": False,
        "settings": settings,
        "queue": QUEUE,
    }
    assert _trainer_row(trainer)[4] == "epochs=5, rate=0.01, balanced=True"
