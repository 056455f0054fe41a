"""Two workers finish an experiment in little more than half of one worker's time.

The trainings sleep: on a machine with too few cores two real ones would share them. All else is
real: the policies, the queue, the stream of reports and the log. A sleeping worker takes its jobs
and reports on them as `gpu_worker` does.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.errors import TimeoutError as NothingCame
from nats.js import JetStreamContext

from adapters.nats.jetstream import (
    JOBS,
    connect,
    ensure_job_consumer,
    ensure_streams,
    job_consumer,
    publish,
    report_subject,
)
from application.experiments.experiments import Plan, start_experiment
from application.log.store import Store
from domain.training.messages import EpochMetrics, Started, TrainJob
from tests.adapters.running import eventually, running, settings_for
from tests.application.experiments.simulation import experiment_at
from tests.application.scenes import do, trainable
from tests.application.training.reports import accept_results, reports, whole_run
from tests.servers import Database

TRIALS, CONCURRENCY = 8, 4
EPOCH_SECONDS = 0.8


class SleepingWorkers:
    """Workers that sleep for an epoch, and note when the first of their trainings began."""

    def __init__(self, url: str, count: int) -> None:
        self._url, self._count = url, count
        self._stop = threading.Event()
        self.began: float | None = None
        self.jobs: dict[str, int] = {}

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        self._stop.set()

    async def _run(self) -> None:
        clients = [await connect(self._url, f"sleeping-{n}") for n in range(self._count)]
        try:
            await asyncio.gather(*(self._work(f"w{n}", each) for n, each in enumerate(clients)))
        finally:
            for client in clients:
                await client.close()

    async def _work(self, name: str, client: Client) -> None:
        js = client.jetstream()
        await ensure_streams(js)
        await ensure_job_consumer(js, "default", 60.0)
        queue = await js.pull_subscribe_bind(consumer=job_consumer("default"), stream=JOBS)
        while not self._stop.is_set():
            with suppress(NothingCame):
                (message,) = await queue.fetch(1, timeout=0.5)
                self.began = self.began or time.monotonic()
                job = msgspec.json.decode(message.data, type=TrainJob)
                await self._train(js, name, job)
                await message.ack_sync()
                self.jobs[name] = self.jobs.get(name, 0) + 1

    async def _train(self, js: JetStreamContext, name: str, job: TrainJob) -> None:
        for report in reports(job.version_id, whole_run(epochs=1)):
            if isinstance(report.body, EpochMetrics):
                await asyncio.sleep(EPOCH_SECONDS)
            body = report.body
            if isinstance(body, Started):
                body = msgspec.structs.replace(body, worker=name)
            own = msgspec.structs.replace(
                report, body=body, worker=name, token=job.token, correlation_id=job.correlation_id
            )
            subject = report_subject(name, job.version_id)
            await publish(js, subject, msgspec.json.encode(own), message_id=own.message_id)


@contextmanager
def sleeping(url: str, count: int) -> Iterator[SleepingWorkers]:
    workers = SleepingWorkers(url, count)
    thread = threading.Thread(target=workers.run)
    thread.start()
    try:
        yield workers
    finally:
        workers.stop()
        thread.join()


def test_two_workers_take_at_most_three_fifths_of_the_time(
    store: Store, nats_url: str, migrated: Database, tmp_path: Path
) -> None:
    view = trainable(store).view
    plan = Plan(
        budget=TRIALS,
        concurrency=CONCURRENCY,
        pruning=False,
        base={"epochs": 1.0, "width": 32, "height": 32},
    )

    def concluded(experiment_id: str) -> bool:
        accept_results(store)
        return experiment_at(store, experiment_id).concluded is not None

    def seconds(count: int) -> float:
        """From the first training's start to the experiment's end."""
        with sleeping(nats_url, count) as workers:
            experiment_id = do(store, lambda s: start_experiment(s, view, plan)).id
            eventually(lambda: concluded(experiment_id))
            ended = time.monotonic()
        assert sum(workers.jobs.values()) == TRIALS
        assert len(workers.jobs) == count
        assert workers.began is not None
        return ended - workers.began

    settings = settings_for(migrated, nats_url, tmp_path)
    with running(settings, "policies", "ingest", "trials"):
        one, two = seconds(1), seconds(2)
    assert one >= TRIALS * EPOCH_SECONDS
    assert two <= 0.6 * one, f"one worker took {one:.1f} s, two took {two:.1f} s"
