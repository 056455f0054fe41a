"""Workers of trainers with seeds that the API issued: bound to a project, cut off, replaced."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import Error as NatsError

from adapters.nats.jetstream import DOMAIN, JOBS
from adapters.nats.login import inbox_of, public_key
from cli.client import ApiClient
from domain.trainers.trainer import trainer_id
from tests.adapters.running import eventually
from tests.servers import server_folder
from tests.system.system import RunningSystem, annotated_digits, running_system

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "own_training" / "logreg.py"
NAME = "acme/logreg"
SEEDS = f"trainers/{trainer_id(NAME)}/seeds"


@pytest.fixture(scope="module")
def system(initialised: Path) -> Iterator[RunningSystem]:
    with server_folder(initialised) as folder, running_system(Path(folder)) as system:
        yield system


@contextmanager
def worker(
    system: RunningSystem, name: str, seed: str, queue: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "STEMMA_API_URL": system.runtime.api_url,
        "STEMMA_NATS_URL": system.runtime.nats_url,
        "STEMMA_NATS_SEED": seed,
        "STEMMA_WORKER_NAME": name,
        "STEMMA_QUEUE": queue,
        "STEMMA_TRAINER_CACHE": str(system.data / "cache"),
    }
    log = (system.data / f"{name}.log").open("ab")
    argv = [sys.executable, str(EXAMPLE)]
    with log, subprocess.Popen(argv, env=environment, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def train(client: ApiClient, view_id: str, epochs: int) -> str:
    body = {"trainer": NAME, "settings": {"epochs": epochs}}
    return str(client.command(f"views/{view_id}/versions", body)["id"])


def shown(client: ApiClient, version_id: str) -> dict[str, Any]:
    version: dict[str, Any] = client.query(f"versions/{version_id}")["version"]
    return version


def until(client: ApiClient, version_id: str, *statuses: str) -> None:
    eventually(lambda: shown(client, version_id)["status"] in statuses)


async def may_take(system: RunningSystem, seed: str, queue: str) -> bool:
    """Whether NATS answers somebody with this seed about the jobs of a queue."""
    client = await nats.connect(
        system.runtime.nats_url,
        nkeys_seed_str=seed,
        inbox_prefix=inbox_of(public_key(seed)),
        allow_reconnect=False,
    )
    try:
        info = client.jetstream(domain=DOMAIN).consumer_info
        await asyncio.wait_for(info(JOBS, f"worker-{queue}"), 2)
    except (NatsError, TimeoutError):
        return False
    finally:
        await client.close()
    return True


def takes(system: RunningSystem, seed: str, queue: str) -> bool:
    return asyncio.run(may_take(system, seed, queue))


def let_in(system: RunningSystem, seed: str, queue: str) -> bool:
    try:
        return takes(system, seed, queue)
    except (NatsError, OSError):
        return False


def test_seeds_open_the_jobs_that_they_are_for_until_they_are_revoked(
    system: RunningSystem,
) -> None:
    with system.client() as client:
        open_view, own_view = annotated_digits(client, 80), annotated_digits(client, 80)
        own_project = client.query(f"views/{own_view}")["view"]["project_id"]
        settings = [
            {"control": "number", "key": key, "default": default, "whole": key != "penalty"}
            for key, default in (("epochs", 8), ("penalty", 0.0001), ("seed", 0))
        ]
        form = {"name": NAME, "kinds": ["classification"], "settings": settings}
        client.command("trainers", form)
        everyone = client.command(SEEDS, {"worker": "everyone"})
        bound = client.command(SEEDS, {"worker": "bound", "project_id": own_project})
        assert everyone["applied"]
        assert bound["applied"]
        for answer, other in ((everyone, bound), (bound, everyone)):
            seed, queue = answer["seed"], answer["queue"]
            eventually(partial(takes, system, seed, queue))
            assert not takes(system, seed, other["queue"])

        # A project with workers of its own: nobody else gets its jobs.
        own, general = train(client, own_view, 2), train(client, open_view, 2)
        with worker(system, "everyone", everyone["seed"]) as process:
            until(client, general, "ready", "failed")
            assert shown(client, general)["status"] == "ready"
            assert shown(client, own)["status"] == "queued"
            with worker(system, "bound", bound["seed"], bound["queue"]):
                until(client, own, "ready", "failed")
            assert shown(client, own)["status"] == "ready"

            # In the middle of a training, its worker is cut off; another one goes on.
            cut_off = train(client, open_view, 400)
            until(client, cut_off, "training")
            answer = client.delete(f"{SEEDS}/everyone")
            assert answer["applied"]
            with pytest.raises((NatsError, OSError)):
                takes(system, everyone["seed"], everyone["queue"])
            eventually(lambda: process.poll() == 1)
            assert "it was revoked" in (system.data / "everyone.log").read_text()
            next_one = client.command(SEEDS, {"worker": "next"})
            with worker(system, "next", next_one["seed"]):
                until(client, cut_off, "ready", "failed")
        assert shown(client, cut_off)["status"] == "ready", shown(client, cut_off)["reason"]
        progress = client.query(f"versions/{cut_off}/progress")["progress"]
        assert progress["worker"] == "next"


def test_what_the_log_says_of_seeds_is_so_after_a_start(system: RunningSystem) -> None:
    """As after an API that died before it had told NATS."""
    users = system.data / "nats" / "access" / "users.json"
    before = users.read_bytes()
    with system.client() as client:
        revoked = client.command(SEEDS, {"worker": "revoked"})
        with_it = users.read_bytes()
        client.delete(f"{SEEDS}/revoked")
        kept = client.command(SEEDS, {"worker": "kept"})
    system.kill_everything()
    assert before != with_it
    users.write_bytes(with_it)
    system.start()
    eventually(lambda: not let_in(system, revoked["seed"], revoked["queue"]))
    eventually(lambda: let_in(system, kept["seed"], kept["queue"]))
