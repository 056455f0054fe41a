"""Who is answered by what: requests that roles of NATS may make, and those that they may not."""

from collections.abc import Iterator

from adapters.nats.jetstream import (
    CHECKPOINTS,
    CONTROL_STREAM,
    EVENTS,
    JOBS,
    REPORTS,
    STREAM_NAMES,
    WORKERS_BUCKET,
    WORKERS_STREAM,
    job_consumer,
)
from adapters.nats.roles import NatsRole
from tests.adapters.nats.access.lab import (
    API,
    BACKEND,
    EVENT,
    INSIDE,
    JOB,
    OPERATOR,
    SUBSCRIBER,
    WORKER,
    api,
    consumer,
    stream_config,
)


def _table() -> Iterator[tuple[str, bytes, frozenset[NatsRole]]]:
    """A request, its payload, and who is answered by what it asks for.

    What would change the scene is asked so that even who may is told that it is nonsense.
    """
    yield EVENT, b"{}", INSIDE
    yield JOB, b"{}", INSIDE
    yield "stemma.checkpoints", b"", INSIDE
    yield "$KV.control.v1", b"{}", INSIDE
    yield "stemma.reports.mine.v1", b"{}", frozenset({OPERATOR, WORKER})
    yield "stemma.reports.other.v1", b"{}", frozenset({OPERATOR})
    yield "stemma.reports.v1", b"{}", frozenset({OPERATOR})
    yield f"$KV.{WORKERS_BUCKET}.mine", b"{}", frozenset({OPERATOR, WORKER})
    yield f"$KV.{WORKERS_BUCKET}.other", b"{}", frozenset({OPERATOR})
    for stream in STREAM_NAMES:
        may = INSIDE | {API}
        may |= {SUBSCRIBER} if stream in {EVENTS, CHECKPOINTS} else set()
        may |= {WORKER} if stream == WORKERS_STREAM else set()
        yield api("STREAM.INFO", stream), b"", may
        for verb in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT"):
            yield api(verb, stream), b"?", frozenset({OPERATOR})
        yield api("STREAM.UPDATE", stream), b"?", frozenset({OPERATOR})
        yield api("STREAM.CREATE", stream), b"?", INSIDE
        may = INSIDE
        may |= {API} if stream in {EVENTS, WORKERS_STREAM} else set()
        may |= {SUBSCRIBER} if stream in {EVENTS, CHECKPOINTS} else set()
        may |= {WORKER} if stream == CONTROL_STREAM else set()
        yield api("STREAM.MSG.GET", stream), b'{"seq": 1}', may
        yield api("CONSUMER.LIST", stream), b"", INSIDE | ({API} if stream == JOBS else set())
    for stream in (EVENTS, CHECKPOINTS):
        yield api("DIRECT.GET", stream), b'{"seq": 1}', INSIDE | {SUBSCRIBER}
        for name, own in (("mine", {OPERATOR, SUBSCRIBER}), ("other", {OPERATOR})):
            may = frozenset(own)
            for verb in ("CONSUMER.DURABLE.CREATE", "CONSUMER.CREATE"):
                yield api(verb, stream, name), consumer(stream, name), may
            yield api("CONSUMER.INFO", stream, name), b"", may | {BACKEND}
            yield api("CONSUMER.MSG.NEXT", stream, name), b'{"no_wait": true}', may
            yield api("CONSUMER.DELETE", stream, name), b"?", may
    queue = job_consumer("default")
    yield api("CONSUMER.INFO", JOBS, queue), b"", INSIDE | {WORKER}
    yield api("CONSUMER.MSG.NEXT", JOBS, queue), b'{"no_wait": true}', frozenset({OPERATOR, WORKER})
    yield api("CONSUMER.MSG.NEXT", JOBS, job_consumer("more")), b"?", frozenset()
    for name in (queue, "mine"):
        yield api("CONSUMER.DURABLE.CREATE", JOBS, name), b"?", INSIDE
        yield api("CONSUMER.DELETE", JOBS, name), b"?", INSIDE
    yield api("CONSUMER.CREATE", REPORTS), b"?", INSIDE
    yield api("CONSUMER.CREATE", CONTROL_STREAM, "mine"), b"?", frozenset({OPERATOR})
    yield api("STREAM.CREATE", "MINE"), stream_config("MINE", ["mine"]), frozenset({OPERATOR})
    yield api("STREAM.LIST"), b"", frozenset({OPERATOR})


TABLE = list(_table())
