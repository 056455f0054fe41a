"""Reports on their way from a worker's publish into the log: each once, in order, come what may."""

from collections.abc import Sequence

import msgspec
import pytest
from nats.js import JetStreamContext

from adapters.nats.jetstream import REPORTS, ensure_streams, publish, report_subject
from adapters.servers.nats import EmbeddedNats
from adapters.training.job_key import job_tokens
from application.log.store import Store
from domain.aggregates import VERSION
from domain.training.messages import Report
from domain.training.version import RenameVersion
from tests.adapters.running import eventually, kill, running, settings_for, with_js
from tests.application.scenes import do, trainable
from tests.application.training.reports import WHOLE, reports, whole_run
from tests.servers import Database


@pytest.fixture
def version(store: Store) -> str:
    return trainable(store).train()


def send(url: str, sent: Sequence[Report]) -> None:
    """Publish reports as a worker does, acknowledged one by one."""

    async def publish_all(js: JetStreamContext) -> None:
        await ensure_streams(js)
        for one in sent:
            subject = report_subject(one.worker, one.version_id)
            await publish(js, subject, msgspec.json.encode(one), message_id=one.message_id)

    with_js(url, publish_all)


def names(store: Store, version: str) -> list[str]:
    events = store.streams([VERSION.stream(version)])[VERSION.stream(version)]
    return [one.event.event_name.removeprefix("version.") for one in events]


def taken_in(store: Store, version: str) -> int:
    """How many events the version's reports have caused."""
    return len(names(store, version)) - 1


def test_reports_arrive_in_the_log(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    run = reports(version, whole_run())
    send(nats_url, run[:4])
    with running(settings_for(migrated, nats_url), "ingest"):
        eventually(lambda: taken_in(store, version) == 4)
        send(nats_url, run[4:])
        eventually(lambda: names(store, version) == WHOLE)


def test_reports_on_the_subject_of_an_older_worker_are_taken_in_and_no_others_name_is(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    run = reports(version, whole_run())

    async def publish_all(js: JetStreamContext) -> None:
        await ensure_streams(js)
        for one in run:
            payload = msgspec.json.encode(one)
            await publish(js, report_subject("w2", version), payload, message_id="")
            await publish(js, f"stemma.reports.{version}", payload, message_id=one.message_id)

    with_js(nats_url, publish_all)
    with running(settings_for(migrated, nats_url), "ingest"):
        eventually(lambda: names(store, version) == WHOLE)


def test_a_report_without_its_jobs_token_is_passed_over(
    store: Store, nats_url: str, migrated: Database
) -> None:
    scene, tokens = trainable(store), job_tokens(migrated.app_url)
    version = scene.train()
    run = reports(version, whole_run())
    token = tokens.of(version, 1, run[0].correlation_id)
    send(nats_url, run)
    send(nats_url, [msgspec.structs.replace(one, token=token, delivery=2) for one in run])
    with running(settings_for(migrated, nats_url), "ingest"):
        eventually(lambda: names(store, version) == WHOLE)
    (_, started, *_) = store.streams([VERSION.stream(version)])[VERSION.stream(version)]
    assert started.metadata.command_id == f"{version}:1:2:1"


def test_a_restarted_ingest_goes_on_where_it_was(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    run = reports(version, whole_run())
    settings = settings_for(migrated, nats_url)
    for first, last in ((0, 5), (5, 9), (9, len(run))):
        send(nats_url, run[first:last])
        with running(settings, "ingest"):
            eventually(lambda last=last: taken_in(store, version) == last)  # type: ignore[misc]
    assert names(store, version) == WHOLE


def test_two_ingests_at_once_take_each_report_in_once(
    store: Store, nats_url: str, migrated: Database
) -> None:
    scene = trainable(store)
    trained = [scene.train() for _ in range(3)]
    settings = settings_for(migrated, nats_url)
    with running(settings, "ingest"), running(settings, "ingest"):
        for version in trained:
            send(nats_url, reports(version, whole_run()))
        eventually(lambda: all(names(store, version)[-1] == WHOLE[-1] for version in trained))
    assert [names(store, version) for version in trained] == [WHOLE] * 3


def test_what_is_no_report_stops_nothing(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    async def publish_noise(js: JetStreamContext) -> None:
        await ensure_streams(js)
        for payload in (b"", b"\xff", b'{"version_id": "\xff"}', b"{}"):
            await js.publish(report_subject("w1", version), payload)

    with_js(nats_url, publish_noise)
    send(nats_url, reports(version, whole_run()))
    with running(settings_for(migrated, nats_url), "ingest"):
        eventually(lambda: names(store, version) == WHOLE)


def test_users_and_workers_write_to_one_version_at_once(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    run = reports(version, whole_run())
    with running(settings_for(migrated, nats_url), "ingest"):
        for number, one in enumerate(run):
            send(nats_url, [one])
            do(store, lambda s, n=number: s.change(VERSION, version, RenameVersion(f"name {n}")))  # type: ignore[misc]
        eventually(lambda: "result_reported" in names(store, version))
    assert [name for name in names(store, version) if name != "renamed"] == WHOLE


def test_ingest_survives_restarts_of_nats(
    store: Store, version: str, migrated: Database, private_nats: EmbeddedNats
) -> None:
    run = reports(version, whole_run())
    send(private_nats.url, run[:3])
    with running(settings_for(migrated, private_nats.url), "ingest"):
        eventually(lambda: taken_in(store, version) == 3)
        kill(private_nats)
        private_nats.start()
        send(private_nats.url, run[3:8])
        eventually(lambda: taken_in(store, version) == 8)
        private_nats.stop()
        private_nats.start()
        send(private_nats.url, run[8:])
        eventually(lambda: names(store, version) == WHOLE)


def test_ingest_notices_that_its_stream_was_deleted_and_made_anew(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    run = reports(version, whole_run())
    send(nats_url, run[:6])
    with running(settings_for(migrated, nats_url), "ingest"):
        eventually(lambda: taken_in(store, version) == 6)
        with_js(nats_url, lambda js: js.delete_stream(REPORTS))
        send(nats_url, run[6:8])
        eventually(lambda: taken_in(store, version) == 8)
        send(nats_url, run[8:])
        eventually(lambda: names(store, version) == WHOLE)


def test_ingest_makes_a_lost_stream_anew_by_itself(
    store: Store, version: str, nats_url: str, migrated: Database
) -> None:
    async def stream_is_there(js: JetStreamContext) -> bool:
        return REPORTS in [info.config.name for info in await js.streams_info()]

    with running(settings_for(migrated, nats_url), "ingest"):
        send(nats_url, reports(version, whole_run())[:1])
        eventually(lambda: taken_in(store, version) == 1)
        with_js(nats_url, lambda js: js.delete_stream(REPORTS))
        eventually(lambda: with_js(nats_url, stream_is_there))


@pytest.mark.usefixtures("soon_given_up")
def test_ingest_stops_while_nats_is_down(
    store: Store, version: str, migrated: Database, private_nats: EmbeddedNats
) -> None:
    with running(settings_for(migrated, private_nats.url), "ingest"):
        send(private_nats.url, reports(version, whole_run())[:1])
        eventually(lambda: taken_in(store, version) == 1)
        kill(private_nats)
