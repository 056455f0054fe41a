"""Two workers finish an experiment in half of the rounds that one worker takes.

The trainings wait for each other: each ends only once all workers train, so workers that did not
train side by side would wait for ever. All else is real: the policies, the queue, the stream of
reports and the log. A waiting worker takes its jobs and reports on them as `gpu_worker` does.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
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


class WaitingWorkers:
    """Workers whose trainings end together, and how often they did."""

    def __init__(self, url: str, count: int) -> None:
        self._url, self._count = url, count
        self._stop = threading.Event()
        self.rounds = 0
        self.jobs: dict[str, int] = {}

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        self._stop.set()

    async def _run(self) -> None:
        clients = [await connect(self._url, f"waiting-{n}") for n in range(self._count)]
        together = asyncio.Barrier(self._count)
        try:
            await asyncio.gather(
                *(self._work(f"w{n}", each, together) for n, each in enumerate(clients))
            )
        finally:
            for client in clients:
                await client.close()

    async def _work(self, name: str, client: Client, together: asyncio.Barrier) -> None:
        js = client.jetstream()
        await ensure_streams(js)
        await ensure_job_consumer(js, "default", 60.0)
        queue = await js.pull_subscribe_bind(consumer=job_consumer("default"), stream=JOBS)
        while not self._stop.is_set():
            with suppress(NothingCame):
                (message,) = await queue.fetch(1, timeout=0.5)
                job = msgspec.json.decode(message.data, type=TrainJob)
                await self._train(js, name, job, together)
                await message.ack_sync()
                self.jobs[name] = self.jobs.get(name, 0) + 1

    async def _train(
        self, js: JetStreamContext, name: str, job: TrainJob, together: asyncio.Barrier
    ) -> None:
        for report in reports(job.version_id, whole_run(epochs=1)):
            if isinstance(report.body, EpochMetrics):
                self.rounds += await together.wait() == 0
            body = report.body
            if isinstance(body, Started):
                body = msgspec.structs.replace(body, worker=name)
            own = msgspec.structs.replace(
                report, body=body, worker=name, token=job.token, correlation_id=job.correlation_id
            )
            subject = report_subject(name, job.version_id)
            await publish(js, subject, msgspec.json.encode(own), message_id=own.message_id)


@contextmanager
def waiting(url: str, count: int) -> Iterator[WaitingWorkers]:
    workers = WaitingWorkers(url, count)
    thread = threading.Thread(target=workers.run)
    thread.start()
    try:
        yield workers
    finally:
        workers.stop()
        thread.join()


def test_two_workers_take_half_of_the_rounds(
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

    settings = settings_for(migrated, nats_url, tmp_path)
    with running(settings, "policies", "ingest", "trials"):
        for count in (1, 2):
            with waiting(nats_url, count) as workers:
                experiment_id = do(store, lambda s: start_experiment(s, view, plan)).id
                eventually(partial(concluded, experiment_id))
            assert workers.rounds == TRIALS / count
            assert workers.jobs == {f"w{n}": TRIALS / count for n in range(count)}
