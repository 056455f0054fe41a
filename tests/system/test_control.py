"""Cancel, stop, retry, over HTTP and with a real worker: whatever it was at and cut off from.

What the worker does next shows that a cancelled training is behind it: that job ends as it should,
each time in another way.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from cli.client import ApiClient, ApiProblem
from tests.servers import server_folder
from tests.system.system import (
    RunningSystem,
    annotated_digits,
    events_of,
    eventually,
    running_system,
)

QUICK = {"architecture": "mobilenet_v3_small", "width": 32, "height": 32, "epochs": 1}
LONG = QUICK | {"epochs": 200}


class Lab:
    """A system with a small dataset, its API and what is seen of its worker."""

    def __init__(self, system: RunningSystem, client: ApiClient, view_id: str) -> None:
        self.system = system
        self.client = client
        self.view_id = view_id
        self.ready: str | None = None

    def train(self, options: dict[str, Any]) -> str:
        answer = self.client.command(f"views/{self.view_id}/versions", {"options": options})
        self.client.query(f"versions/{answer['id']}", at_least=answer["position"])
        return str(answer["id"])

    def ask(self, version_id: str, what: str) -> None:
        answer = self.client.command(f"versions/{version_id}/{what}", None)
        self.client.query(f"versions/{version_id}", at_least=answer["position"])

    def version(self, version_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.query(f"versions/{version_id}")["version"]
        return found

    def progress(self, version_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.query(f"versions/{version_id}/progress")["progress"]
        return found

    def running(self) -> str:
        """A long training that has recorded iterations, which the caller is to end."""
        version_id = self.train(LONG)
        eventually(lambda: self.progress(version_id)["iterations_done"], "iterations are recorded")
        return version_id

    def finished(self, version_id: str) -> dict[str, Any]:
        for _ in self.client.follow(f"versions/{version_id}/events"):
            pass
        return self.version(version_id)

    def names(self, version_id: str) -> list[str]:
        return [name for name, _ in events_of(self.system.runtime, version_id)]

    def checkpoints(self, version_id: str) -> list[Path]:
        """What an interrupted training would resume from."""
        return list((self.system.data / "blobs" / "scratch" / "resume" / version_id).glob("*"))

    def weights(self, version_id: str) -> dict[str, Any]:
        """The saved checkpoint's arrays."""
        target = self.system.data / f"{version_id}.safetensors"
        self.client.download(f"versions/{version_id}/checkpoint", target, {})
        return load_file(target)


@pytest.fixture(scope="module")
def lab(initialised: Path) -> Iterator[Lab]:
    with (
        server_folder(initialised) as folder,
        running_system(Path(folder)) as system,
        system.client() as client,
    ):
        yield Lab(system, client, annotated_digits(client, 80))


def is_dropped(lab: Lab, version_id: str, child: int | None) -> None:
    """The worker has ended the child in mid-training: it has not come to the training's end."""
    eventually(lambda: lab.system.pid("child") != child, "the child is gone")
    log = lab.system.data / "logs" / "worker.log"
    eventually(lambda: f"job {version_id}:1 is over" in log.read_text(), "the job is dropped")


def test_a_training_is_cancelled_and_the_next_one_is_trained(lab: Lab) -> None:
    version_id = lab.running()
    eventually(lambda: lab.version(version_id)["checkpoint"], "an epoch has ended")
    child = lab.system.pid("child")
    lab.ask(version_id, "cancel")
    is_dropped(lab, version_id, child)
    cancelled = lab.version(version_id)
    assert (cancelled["status"], cancelled["checkpoint"]) == ("cancelled", None)
    with pytest.raises(ApiProblem, match="discarded"):
        lab.client.query(f"versions/{version_id}/checkpoint")
    lab.ready = trained(lab)
    nothing_is_left_of(lab, version_id)


def test_a_queued_training_is_cancelled_and_the_next_one_is_stopped(lab: Lab) -> None:
    running = lab.running()
    queued = lab.train(LONG)
    eventually(lambda: lab.client.query("workers")["waiting"] == 1, "it waits for the worker")
    lab.ask(queued, "cancel")
    lab.ask(running, "cancel")
    is_stopped_early(lab)
    assert lab.names(queued) == [
        "version.created",
        "version.dataset_frozen",
        "version.training_cancelled",
    ]
    told = lab.client.query("workers")
    assert (told["waiting"], told["versions"]) == (0, [])


def test_a_training_is_cancelled_while_nats_is_dead_and_the_next_one_is_retried(lab: Lab) -> None:
    version_id = lab.running()
    child = lab.system.pid("child")
    lab.system.kill("nats")
    lab.ask(version_id, "cancel")
    is_dropped(lab, version_id, child)
    fails_and_is_retried(lab)
    assert lab.names(version_id)[-1] == "version.training_cancelled"


def is_stopped_early(lab: Lab) -> None:
    version_id = lab.running()
    lab.ask(version_id, "stop")
    version = lab.finished(version_id)
    assert version["status"] == "stopped"
    (completed,) = of_name(lab, version_id, "version.training_completed")
    per_epoch = lab.progress(version_id)["iterations_per_epoch"]
    assert (completed["ended_by"], completed["iterations"] % per_epoch) == ("stop", 0)
    assert completed["iterations"] == lab.progress(version_id)["iterations_done"]
    weights = lab.system.data / "checkpoint"
    assert lab.client.download(f"versions/{version_id}/checkpoint", weights, {}) > 0
    assert version["checkpoint"] == completed["checkpoint"]
    assert len(of_name(lab, version_id, "version.evaluated")) == 1
    eventually(lambda: lab.checkpoints(version_id) == [], "nothing is kept to resume from")


def is_stopped_though_its_child_is_killed(lab: Lab) -> None:
    version_id = lab.train(LONG)
    child = eventually(lambda: lab.system.pid("child"), "it is taken up")
    eventually(lambda: lab.version(version_id)["status"] == "preparing", "it has begun")
    lab.ask(version_id, "stop")
    os.kill(child, signal.SIGKILL)
    assert lab.finished(version_id)["status"] == "stopped"
    assert lab.progress(version_id)["delivery"] == 2


def fails_and_is_retried(lab: Lab) -> None:
    """An image is lost and found again."""
    project_id = lab.client.query(f"views/{lab.view_id}")["view"]["project_id"]
    digest = lab.client.query(f"projects/{project_id}/images")["items"][0]["blob"]
    blob = lab.system.data / "blobs" / "sha256" / digest[:2] / digest
    hidden = lab.system.data / "hidden"
    blob.rename(hidden)
    version_id = lab.train(QUICK)
    failed = lab.finished(version_id)
    assert (failed["status"], digest in failed["reason"]) == ("failed", True)
    hidden.rename(blob)
    lab.ask(version_id, "retry")
    retried = lab.finished(version_id)
    assert (retried["status"], retried["attempt"], retried["reason"]) == ("ready", 2, None)


def starts_from_an_earlier_version(lab: Lab) -> None:
    """At a learning rate of 0 what was kept stays as it was; the new concept's outputs are new."""
    earlier = lab.ready or trained(lab)
    lab.client.command(f"views/{lab.view_id}/concepts", {"labels": ["none of them"]})
    still = QUICK | {"optimizer": "momentum", "initial_learning_rate": 0, "start_from": earlier}
    later = lab.train(still)
    assert lab.finished(later)["status"] == "ready"
    (created,) = of_name(lab, later, "version.created")
    assert created["initial_weights"]["blob"] == lab.version(earlier)["checkpoint"]
    before, after = lab.weights(earlier), lab.weights(later)
    heads = [name for name in before if before[name].shape != after[name].shape]
    assert len(heads) == 2
    for name, was in before.items():
        if name in heads:
            assert len(after[name]) == len(was) + 1
        if "running_" not in name and "num_batches" not in name:
            assert (after[name][: len(was)] == was).all(), name


@pytest.mark.parametrize(
    ("cut", "next_one"),
    [("worker", is_stopped_though_its_child_is_killed), ("nats", starts_from_an_earlier_version)],
)
def test_a_training_is_cancelled_while_its_worker_is_cut_off(
    lab: Lab, cut: str, next_one: Callable[[Lab], None]
) -> None:
    """The worker is frozen, or the NATS server is, so long that the backend has moved on."""
    version_id = lab.running()
    child, frozen = lab.system.pid("child"), lab.system.pid(cut)
    assert child
    assert frozen
    os.kill(frozen, signal.SIGSTOP)
    try:
        lab.ask(version_id, "cancel")
        assert lab.version(version_id)["status"] == "cancelled"
    finally:
        os.kill(frozen, signal.SIGCONT)
    is_dropped(lab, version_id, child)
    next_one(lab)
    nothing_is_left_of(lab, version_id)


def trained(lab: Lab) -> str:
    version_id = lab.train(QUICK)
    assert lab.finished(version_id)["status"] == "ready"
    return version_id


def nothing_is_left_of(lab: Lab, cancelled: str) -> None:
    assert lab.names(cancelled)[-1] == "version.training_cancelled"
    assert lab.checkpoints(cancelled) == []


def of_name(lab: Lab, version_id: str, wanted: str) -> list[dict[str, Any]]:
    return [data for name, data in events_of(lab.system.runtime, version_id) if name == wanted]
