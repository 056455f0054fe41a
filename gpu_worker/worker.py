"""The worker: takes jobs from its queue, one at a time, and runs torch in a child process."""

import asyncio
import logging
import time
from contextlib import suppress

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from prometheus_client import Gauge

from adapters.health.health import HEALTHY, PartHealth
from adapters.health.own_port import Checks, own_port, own_registry
from adapters.health.own_servers import OwnServers
from adapters.nats.jetstream import JOBS, connect, end_tasks, jetstream, job_consumer
from adapters.nats.login import nats_login
from adapters.observability import logs
from adapters.settings import Settings
from domain.training.jobs import decode_job
from domain.training.messages import TrainJob
from gpu_worker.decoded import clean_up, decoded_folder, forget_others
from gpu_worker.delivery import Delivery, send_ack
from gpu_worker.heartbeat import Heartbeat
from gpu_worker.retries import Retries
from gpu_worker.stopping import unless

_FETCH_SECONDS = 30.0
_PAUSE_SECONDS = 0.5
_QUIET_SECONDS = 15.0
"""In which a backend that starts with the worker makes the queue."""
_WITHDRAW_SECONDS = 2.0

log = logging.getLogger(__name__)


async def run_worker(settings: Settings, stop: asyncio.Event) -> None:
    """Run the jobs of `settings.queue` until `stop` is set; the current job is then handed back.

    It uses neither a database nor the blob store. Raises `SettingsError` if the URL of NATS or of
    the API is missing, or its port is taken.
    """
    settings = msgspec.structs.replace(
        settings, blobs_url=None, database_url=None, database_admin_url=None
    )
    settings.require("api_url")
    registry = own_registry()
    training = Gauge("stemma_worker_training", "1 while it trains", registry=registry)
    retries = Retries()
    retrying = Gauge(
        "stemma_worker_retry_seconds",
        "Seconds for which the same step, such as publishing a report, has failed and been retried",
        registry=registry,
    )
    retrying.set_function(retries.seconds)
    with own_port(settings, registry, _checks(settings, retries)), decoded_folder(settings) as own:
        await _work(own, training, retries, stop)


def _checks(settings: Settings, retries: Retries) -> Checks:
    servers = OwnServers(settings, f"{settings.worker_name} health")

    def check() -> dict[str, PartHealth]:
        trouble = retries.trouble()
        working = PartHealth("failed", trouble) if trouble else HEALTHY
        return {"nats": servers.nats(), "api": servers.api(), "work": working}

    return check


async def _work(settings: Settings, training: Gauge, retries: Retries, stop: asyncio.Event) -> None:
    client = await unless(stop, connect(nats_login(settings), settings.worker_name))
    if client is None:
        return
    js = jetstream(client, settings.nats_seed)
    heartbeat = Heartbeat(js, settings, retries.trouble)
    publishing: asyncio.Task[None] | None = None
    try:
        publishing = asyncio.create_task(heartbeat.publish())
        quiet_until = time.monotonic() + _QUIET_SECONDS
        while not stop.is_set():
            message = await unless(stop, _next_job(js, settings, quiet_until))
            if message is not None:
                with training.track_inprogress():
                    await _carry_out(message, client, settings, heartbeat, retries, stop)
    finally:
        if publishing is not None:
            # Otherwise it might publish once more after the withdrawal.
            await end_tasks(publishing)
        if client.is_connected:
            with suppress(TimeoutError):
                await asyncio.wait_for(heartbeat.withdraw(), _WITHDRAW_SECONDS)
        await client.close()


async def _next_job(js: JetStreamContext, settings: Settings, quiet_until: float) -> Msg:
    """Wait for a job.

    Each job has a subscription of its own: in one that stayed open, a job that arrived while a
    fetch timed out would wait until the training was over. An error is logged once, until it is
    another one or is over. There is no queue until the backend has started, so errors before
    `quiet_until` are for debugging only.
    """
    reported = ""
    while True:
        try:
            subscription = await js.pull_subscribe_bind(
                consumer=job_consumer(settings.queue), stream=JOBS
            )
            try:
                (message,) = await subscription.fetch(1, timeout=_FETCH_SECONDS)
                return message
            finally:
                await subscription.unsubscribe()
        except TimeoutError:
            if reported:
                log.info("jobs can be fetched again")
            reported = ""
        except (NatsError, OSError) as error:
            reason = str(error) or type(error).__name__
            if time.monotonic() < quiet_until:
                log.debug("jobs cannot be fetched yet; retrying: %s", reason)
            elif reason != reported:
                log.warning("jobs cannot be fetched; retrying: %s", reason)
                reported = reason
            await asyncio.sleep(_PAUSE_SECONDS)


async def _carry_out(
    message: Msg,
    client: Client,
    settings: Settings,
    heartbeat: Heartbeat,
    retries: Retries,
    stop: asyncio.Event,
) -> None:
    try:
        job = decode_job(message.data)
    except msgspec.DecodeError as error:
        log.error("a job cannot be decoded and is dropped: %s", error)
        await send_ack(message.term())
        return
    with logs.about(job.correlation_id, version_id=job.version_id):
        log.info("job %s: delivery %d", job.message_id, message.metadata.num_delivered)
        heartbeat.working_on(job.version_id)
        try:
            if isinstance(job, TrainJob):
                await asyncio.to_thread(forget_others, settings, job.manifest)
            await Delivery(client, settings, message, job, retries).work(stop)
        finally:
            await asyncio.to_thread(clean_up, settings, job)
            heartbeat.working_on(None)
