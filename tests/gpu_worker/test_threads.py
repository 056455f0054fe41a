"""Trainings on one machine share its cores."""

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import torch

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from application.training.histories import VersionHistory
from cli.training.reproduce import same_threads
from domain.training.messages import AnyReport, Started
from domain.training.version import VersionTrainingStarted
from gpu_worker.environment import set_up_torch
from tests.gpu_worker.at_hand import train_version
from tests.gpu_worker.samples import coloured_job


class Begun(Exception):
    """The training has reported its start; the rest of it is not needed."""


@pytest.fixture
def nats_url() -> str:
    return ""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "sharing", "threads"),
    [("8", 1, 8), ("8", 2, 4), ("8", 3, 2), ("2", 4, 1), (" 6,2", 2, 3)],
)
def test_cores_are_divided(
    monkeypatch: pytest.MonkeyPatch, cores: str, sharing: int, threads: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    set_up_torch(torch.device("cpu"), sharing)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("unusable", ["", "0", "many"])
def test_without_a_number_the_cores_are_the_machines(
    monkeypatch: pytest.MonkeyPatch, unusable: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", unusable)
    set_up_torch(torch.device("cpu"))
    assert torch.get_num_threads() == os.cpu_count()


def test_a_training_takes_its_workers_share_and_reproducing_takes_the_same(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, blobs: BlobStore
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    reports: list[AnyReport] = []

    def report(body: AnyReport) -> None:
        reports.append(body)
        raise Begun

    def begin(settings: Settings) -> Started:
        with pytest.raises(Begun):
            train_version(coloured_job(blobs), 1, settings, blobs, report)
        started = reports.pop()
        assert isinstance(started, Started)
        return started

    first = begin(msgspec.structs.replace(settings, workers=2))
    assert first.environment["cpu_threads"] == "3"
    nothing: Any = None
    recorded = VersionTrainingStarted(1, 1, "w", "cpu", first.environment, 0)
    history = VersionHistory("v", nothing, nothing, None, recorded, None, 1)
    for name, value in same_threads(history).items():
        monkeypatch.setenv(name, value)
    assert begin(settings).environment["cpu_threads"] == "3"
