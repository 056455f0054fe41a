"""Any process may be killed during an experiment: no trial is lost or doubled, or chosen otherwise.

`STEMMA_KILLS` is how many kills there are; experiments are repeated until there were so many. With
100 of them, give `--timeout 7200`.
"""

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.client import ApiClient
from tests.servers import server_folder
from tests.system.system import RunningSystem, annotated_digits, running_system
from tests.waiting import HANG_SECONDS

KILLS = int(os.environ.get("STEMMA_KILLS", "6"))
BUDGET = 6
VICTIMS = ("trials", "policies", "ingest", "worker", "child", "nats", "postgres")
ALWAYS = tuple(name for name in VICTIMS if name != "child")
INTERRUPTING = ("worker", "child", "nats")
INTERRUPTIONS = 3
"""So many kills of those a trial survives for certain. A training that is interrupted five times
fails, and after two such attempts its trial counts as failed."""
BODY: dict[str, Any] = {
    "concurrency": 1,
    "seed": 5,
    "options": {"epochs": 3, "width": 32, "height": 32, "batch_size": 8},
    "space": {
        "architectures": ["mobilenet_v3_small"],
        "rate_multiplier": [0.01, 10],
        "optimizers": ["momentum", "nadam"],
    },
}


@pytest.fixture(scope="module")
def system(initialised: Path) -> Iterator[RunningSystem]:
    with (
        server_folder(initialised) as folder,
        running_system(Path(folder), separate=True) as system,
    ):
        yield system


@pytest.fixture(scope="module")
def view_id(system: RunningSystem) -> str:
    with system.client() as client:
        return annotated_digits(client, 80)


def start(client: ApiClient, view_id: str) -> str:
    return str(client.command(f"views/{view_id}/experiments", BODY | {"budget": BUDGET})["id"])


def concluded(client: ApiClient, experiment_id: str) -> dict[str, Any]:
    for _ in client.follow(f"experiments/{experiment_id}/events"):
        pass
    row: dict[str, Any] = client.query(f"experiments/{experiment_id}")["experiment"]
    return row


def choices(client: ApiClient, experiment_id: str) -> list[Any]:
    """Everything that was chosen and trained, without ids and positions."""
    trials = client.query(f"experiments/{experiment_id}/trials")["items"]
    row = client.query(f"experiments/{experiment_id}")["experiment"]
    found: list[Any] = [row["conclusion"]["best_trial"], row["conclusion"]["value"]]
    for trial in trials:
        pruning = trial["pruning"] or {}
        found.append((trial["parameters"], trial["sampler"], trial["value"], pruning.get("cut")))
        if trial["status"] == "ready":
            version = client.query(f"versions/{trial['version_id']}")["version"]
            found.append(version["final_weights"])
    return found


def proposals(system: RunningSystem) -> int | None:
    """How many trials were proposed so far; None while PostgreSQL does not answer."""
    query = "SELECT count(*) FROM log.stemma_events WHERE topic = 'experiment.trial_proposed'"
    try:
        with psycopg.connect(system.runtime.database_admin_url) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.OperationalError:
        return None
    return None if row is None else int(row[0])


@contextmanager
def killing(system: RunningSystem) -> Iterator[list[str]]:
    """Something is killed again and again, at random; what was, in order."""
    killed: list[str] = []
    stop = threading.Event()

    def kill() -> None:
        chance = random.Random()
        interrupted: Counter[int] = Counter()
        while len(killed) < KILLS and not stop.wait(chance.uniform(0.2, 2)):
            name = chance.choice(VICTIMS)
            # Faster than processes start, nothing would ever go on.
            if not all(system.pid(each) is not None for each in (*ALWAYS, name)):
                continue
            if name in INTERRUPTING:
                trials = proposals(system)
                if trials is None or interrupted[trials] == INTERRUPTIONS:
                    continue
                interrupted[trials] += 1
            system.kill(name)
            killed.append(name)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join(HANG_SECONDS)


@pytest.fixture(scope="module")
def smooth(system: RunningSystem, view_id: str) -> str:
    """An experiment that nothing disturbed."""
    with system.client() as client:
        experiment_id = start(client, view_id)
        assert concluded(client, experiment_id)["conclusion"]["ended_by"] == "budget"
    return experiment_id


def test_whatever_is_killed_the_same_trials_are_chosen_and_trained(
    system: RunningSystem, view_id: str, smooth: str
) -> None:
    with system.client() as client:
        disturbed = start(client, view_id)
        with killing(system) as killed:
            concluded(client, disturbed)
            experiments = [disturbed]
            while len(killed) < KILLS:
                experiments.append(start(client, view_id))
                concluded(client, experiments[-1])
        counts = ", ".join(f"{count} x {name}" for name, count in Counter(killed).items())
        print(f"killed during {len(experiments)} experiments: {counts}")
        expected = choices(client, smooth)
        for experiment_id in experiments:
            assert choices(client, experiment_id) == expected
    for experiment_id in experiments:
        assert_derived_again(system, experiment_id)


def assert_derived_again(system: RunningSystem, experiment_id: str) -> None:
    checked = audit(system, experiment_id)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 different, 0 not comparable" in checked.stdout


def audit(system: RunningSystem, experiment_id: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "audit", "experiment", experiment_id],
        env={"STEMMA_DATA": str(system.data), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_edited_choice_is_named(system: RunningSystem, smooth: str) -> None:
    assert_derived_again(system, smooth)
    edit = """
        UPDATE log.stemma_events SET state = replace(
            convert_from(state, 'UTF8'), '"optimizer":"', '"optimizer":"ad'
        )::bytea
        WHERE originator_id = %s AND topic = 'experiment.trial_proposed'
        AND notification_id = (
            SELECT max(notification_id) FROM log.stemma_events
            WHERE originator_id = %s AND topic = 'experiment.trial_proposed'
        ) RETURNING notification_id
    """
    stream = f"experiment-{smooth}"
    with psycopg.connect(system.runtime.database_admin_url) as connection:
        connection.execute("ALTER TABLE log.stemma_events DISABLE TRIGGER USER")
        row = connection.execute(edit, (stream, stream)).fetchone()
        connection.execute("ALTER TABLE log.stemma_events ENABLE TRIGGER USER")
    assert row is not None
    checked = audit(system, smooth)
    assert checked.returncode == 1
    assert f"proposal of trial {BUDGET} at position {row[0]}: different" in checked.stdout
