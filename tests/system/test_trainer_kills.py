"""Whatever is killed while trainers of users train, each version becomes ready once, without a gap.

The trainer has the package `stemma_trainer` and nothing else. Killed are its parent process, its
child, ingest, results, the API and NATS: at moments such as that a report is published and not yet
acknowledged, that a state is being saved, or that it is saved and not yet acknowledged.

`STEMMA_KILLS` is how many kills there are, and `STEMMA_KILLS_SEED` chooses them: `make kills`.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.nats.jetstream import JOBS, connect
from adapters.nats.login import NatsLogin
from cli.client import ApiClient
from tests.servers import server_folder
from tests.system.system import (
    RunningSystem,
    annotated_digits,
    children_of,
    events_of,
    eventually,
    facts_of,
    running_system,
)

KILLS = int(os.environ.get("STEMMA_KILLS", "8"))
SEED = os.environ.get("STEMMA_KILLS_SEED") or str(random.randrange(10**6))
IN_A_TRAINING = 4
"""After five deliveries a training whose process dies again fails."""

VICTIMS = ("trainer", "child", "nats", "api", "ingest", "results")
EARLY, LATE = ("time", "published", "saving", "saved"), ("evaluated", "completed")
MOST = {"published": 40, "saving": 10, "saved": 10, "evaluated": 1, "completed": 1}
MOST_SECONDS = 2.0

ROOT = Path(__file__).parents[2]
TRAINER = Path(__file__).with_name("light_trainer.py")
FORM: dict[str, Any] = {
    "name": "acme/light",
    "kinds": ["classification"],
    "settings": [{"control": "number", "key": "epochs", "default": 20, "whole": True}],
}


class Kill(NamedTuple):
    """What is killed at a moment; `which` tells which of several such moments."""

    victim: str
    moment: str
    which: float

    def __str__(self) -> str:
        return f"{self.victim} when {self.moment} ({self.which:.3g})"


def kills_of(training: int) -> list[Kill]:
    """The kills of a training: a function of its number and the seed."""
    chance = random.Random(f"{SEED}:{training}")
    kills = []
    for moment in [*chance.choices(EARLY, k=IN_A_TRAINING - 1), chance.choice(LATE)]:
        which = chance.uniform(0, MOST_SECONDS)
        if moment != "time":
            which = chance.randint(1, MOST[moment])
        kills.append(Kill(chance.choice(VICTIMS), moment, which))
    return kills


class Reports:
    """Reports as they are published, before the stream has acknowledged them."""

    def __init__(self, login: NatsLogin) -> None:
        self._login = login
        self._seen: Callable[[str, str], None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Reports":
        with ExitStack() as opened:
            self._thread.start()
            opened.callback(self._stop)
            self._client: Client = self._do(connect(self._login, "test"))
            opened.callback(lambda: self._do(self._client.close()))
            self._do(self._client.subscribe("stemma.reports.>", cb=self._note))
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _note(self, message: Msg) -> None:
        if self._seen is not None:
            report = msgspec.json.decode(message.data)
            self._seen(report["version_id"], report["body"]["report"])

    @contextmanager
    def at(self, version_id: str, tag: str, which: int, act: Callable[[], None]) -> Iterator[Event]:
        """Act at such a report of a version, at once and in the thread that receives it. The event
        is set when that has happened."""
        left, acted = which, Event()

        def look(version: str, reported: str) -> None:
            nonlocal left
            left -= version == version_id and tag in {reported, "published"}
            if left == 0 and not acted.is_set():
                act()
                acted.set()

        self._seen = look
        try:
            yield acted
        finally:
            self._seen = None

    def jobs(self) -> int | None:
        """How many jobs are not acknowledged; None while NATS does not answer."""
        try:
            return int(self._do(self._client.jetstream().stream_info(JOBS)).state.messages)
        except (NatsError, TimeoutError):
            return None

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Trainer:
    """The worker of a trainer, started again whenever it was killed."""

    def __init__(self, system: RunningSystem) -> None:
        command = ("nats", "add", "worker", "own1", "--queue", "trainer--acme--light")
        stemma(system, *command).check_returncode()
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "STEMMA_API_URL": system.runtime.api_url,
            "STEMMA_NATS_URL": system.runtime.nats_url,
            "STEMMA_NATS_SEED": str(system.data / "nats" / "access" / "worker" / "own1.seed"),
            "STEMMA_WORKER_NAME": "own1",
            "STEMMA_TRAINER_CACHE": str(system.data / "cache"),
        }
        self._log = (system.data / "own.log").open("ab")
        self.start()

    def start(self) -> None:
        argv = [sys.executable, str(TRAINER)]
        self.process = subprocess.Popen(
            argv, env=self._environment, stdout=self._log, stderr=self._log
        )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Lab:
    """A system, a trainer's worker, and a training that nothing disturbs."""

    def __init__(self, system: RunningSystem, temporary: Path, stack: ExitStack) -> None:
        self.system, self._temporary = system, temporary
        self.client: ApiClient = stack.enter_context(system.client())
        self.log = stack.enter_context(
            psycopg.connect(system.runtime.database_admin_url, autocommit=True)
        )
        login = NatsLogin(system.runtime.nats_url, system.runtime.nats_seed)
        self.reports = stack.enter_context(Reports(login))
        self.client.command("trainers", FORM)
        self.view_id = annotated_digits(self.client, 60)
        self.trainer = Trainer(system)
        stack.callback(self.trainer.end)

    def train(self) -> str:
        body = {"trainer": "acme/light"}
        return str(self.client.command(f"views/{self.view_id}/versions", body)["id"])

    def has_ended(self, version_id: str) -> bool:
        """By the log itself: the API may be dead."""
        query = """
            SELECT 1 FROM log.stemma_events WHERE originator_id = %s AND topic = ANY(%s)
        """
        ends = ["version.training_completed", "version.training_failed"]
        return self.log.execute(query, (f"version-{version_id}", ends)).fetchone() is not None

    def pid(self, victim: str) -> int | None:
        if victim == "trainer":
            return self.trainer.process.pid
        if victim == "child":
            return next(iter(children_of(self.trainer.process.pid)), None)
        return self.system.pid(victim)

    def kill(self, version_id: str, kill: Kill) -> bool:
        """Carry out a kill; false if the training ended before."""
        if not self._comes(version_id, lambda: self.pid(kill.victim) is not None):
            return False
        victim = self.pid(kill.victim)

        def act() -> None:
            with suppress(ProcessLookupError):
                os.kill(victim or 0, signal.SIGKILL)

        if not self._act(version_id, kill, act):
            return False
        if kill.victim == "trainer":
            self.trainer.end()
            self.trainer.start()
        eventually(lambda: self.pid(kill.victim) != victim, f"{kill.victim} is dead")
        return True

    def _act(self, version_id: str, kill: Kill, act: Callable[[], None]) -> bool:
        """Act at the moment of a kill; false if the training ended before."""
        which = int(kill.which)
        match kill.moment:
            case "time":
                time.sleep(kill.which)
                comes = not self.has_ended(version_id)
            case "saving":
                comes = self._changes(version_id, self._temporary_states, which)
            case "saved":
                comes = self._changes(version_id, self._saved_states(version_id), which)
            case tag:
                with self.reports.at(version_id, tag, which, act) as acted:
                    return self._comes(version_id, acted.is_set)
        if comes:
            act()
        return comes

    def _changes(
        self, version_id: str, look: Callable[[], set[tuple[str, int]]], times: int
    ) -> bool:
        seen = look()

        def is_another() -> bool:
            found = look()
            new = bool(found - seen)
            seen.update(found)
            return new

        return all(self._comes(version_id, is_another) for _ in range(times))

    def _temporary_states(self) -> set[tuple[str, int]]:
        """What the API has begun to receive and has not stored yet."""
        return {(path.name, 0) for path in self._temporary.glob("stemma-state-*")}

    def _saved_states(self, version_id: str) -> Callable[[], set[tuple[str, int]]]:
        folder = self.system.data / "blobs" / "scratch" / "resume" / version_id

        def look() -> set[tuple[str, int]]:
            with suppress(FileNotFoundError):
                return {(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(folder)}
            return set()

        return look

    def _comes(self, version_id: str, condition: Callable[[], object]) -> bool:
        """Wait for a moment; false once the training has ended."""
        while True:
            looked = time.monotonic()
            if self.has_ended(version_id):
                return False
            while time.monotonic() < looked + 0.1:
                if condition():
                    return True
                time.sleep(0.0005)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with server_folder() as folder, ExitStack() as stack:
        stack.enter_context(temporary_files(temporary := Path(folder, "temporary")))
        system = stack.enter_context(running_system(Path(folder), separate=True))
        yield Lab(system, temporary, stack)


@contextmanager
def temporary_files(folder: Path) -> Iterator[None]:
    """A folder for the temporary files of what is started, in which no others have any."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield


def test_whatever_is_killed_each_version_becomes_ready_once_and_whole(lab: Lab) -> None:
    undisturbed = check_whole(lab, lab.train())
    carried_out: Counter[str] = Counter()
    versions = 1
    while carried_out.total() < KILLS:
        version_id, began = lab.train(), time.monotonic()
        done = []
        for kill in kills_of(versions):
            if carried_out.total() < KILLS and lab.kill(version_id, kill):
                carried_out[f"{kill.victim} when {kill.moment}"] += 1
                done.append(str(kill))
        took = f"{time.monotonic() - began:.0f} s"
        print(f"seed {SEED}, training {versions}: {', '.join(done)}; {took}", flush=True)
        assert check_whole(lab, version_id) == undisturbed
        versions += 1
    print(*(f"{count:3} x {what}" for what, count in sorted(carried_out.items())), sep="\n")
    listed = lab.client.query_all("versions", view_id=lab.view_id)
    assert [row["status"] for row in listed] == ["ready"] * versions
    for check in ("verify", "replay"):
        checked = stemma(lab.system, "audit", check)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def check_whole(lab: Lab, version_id: str) -> dict[str, Any]:
    """Wait for the end of a version. Everything was recorded once and in order, and measured, and
    nothing is left to do or to resume. Returns what was recorded."""
    eventually(lambda: lab.has_ended(version_id), "the training ends")
    events = events_of(lab.system.runtime, version_id)
    names = Counter(name.removeprefix("version.") for name, _ in events)
    assert events[-1][0] == "version.training_completed", events[-1]
    epochs = [data["epoch"] for name, data in events if name == "version.epoch_metrics_recorded"]
    assert epochs == list(range(1, 21))
    for once in ("result_reported", "result_measured", "training_completed", "evaluated"):
        assert names[once] == 1, once
    assert names["report_refused"] == 0
    eventually(lambda: lab.reports.jobs() == 0, "the job is acknowledged")
    folder = lab.system.data / "blobs" / "scratch" / "resume" / version_id
    eventually(lambda: not folder.exists() or not any(folder.iterdir()), "no state is left")
    evaluation = lab.client.query(f"versions/{version_id}/evaluation")
    assert evaluation["differences"] == []
    return facts_of(events)


def stemma(system: RunningSystem, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env={"STEMMA_DATA": str(system.data), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
