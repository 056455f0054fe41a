"""Reports are taken in once each, in order, whoever else is at work."""

import threading
from collections.abc import Sequence

import msgspec
import pytest
from eventsourcing.persistence import PersistenceError

from application.log.store import AppendRefused, Store
from application.training import versions
from application.training.ingest import Delivered, Ingest
from domain.aggregates import VERSION
from domain.training.version import RenameVersion
from tests.application.scenes import at_once, do, trainable
from tests.application.training.reports import WHOLE, delivered, reports, whole_run
from tests.waiting import HANG_SECONDS

FEED = "REPORTS of today"


@pytest.fixture
def version(store: Store) -> str:
    return trainable(store).train()


def names(store: Store, version: str) -> list[str]:
    events = store.streams([VERSION.stream(version)])[VERSION.stream(version)]
    return [one.event.event_name.removeprefix("version.") for one in events]


def test_reports_become_events_in_order(store: Store, version: str) -> None:
    ingest = Ingest(store, FEED)
    messages = delivered(reports(version, whole_run()))
    position = ingest.take(messages)
    assert names(store, version) == WHOLE
    assert position == store.head()
    assert ingest.position() == len(messages)


def test_events_tell_the_worker_and_the_report(store: Store, version: str) -> None:
    sent = reports(version, whole_run())
    Ingest(store, FEED).take(delivered(sent))
    started = store.streams([VERSION.stream(version)])[VERSION.stream(version)][1]
    assert started.metadata.actor == "worker:w1"
    assert started.metadata.command_id == sent[0].message_id
    assert started.metadata.correlation_id == "correlation"


def test_batches_of_any_size_come_to_the_same(store: Store, version: str) -> None:
    messages = delivered(reports(version, whole_run()))
    ingest = Ingest(store, FEED)
    for message in messages:
        ingest.take([message])
    assert names(store, version) == WHOLE


def test_what_was_taken_in_is_not_taken_in_again(store: Store, version: str) -> None:
    messages = delivered(reports(version, whole_run()))
    Ingest(store, FEED).take(messages[:5])
    for again in (messages[:5], messages[2:5]):
        with pytest.raises(AppendRefused):
            Ingest(store, FEED).take(again)
    Ingest(store, FEED).take(messages[5:])
    assert names(store, version) == WHOLE


def test_reports_sent_twice_by_a_worker_change_nothing(store: Store, version: str) -> None:
    twice = [one for one in reports(version, whole_run()) for _ in range(2)]
    Ingest(store, FEED).take(delivered(twice))
    assert names(store, version) == WHOLE


def test_a_report_on_the_subject_of_another_worker_is_passed_over(
    store: Store, version: str
) -> None:
    run = delivered(reports(version, whole_run()))
    forged = [msgspec.structs.replace(one, worker="w2") for one in run]
    own = [msgspec.structs.replace(one, worker="w1") for one in run]
    both = [one for pair in zip(forged, own, strict=True) for one in pair]
    ingest = Ingest(store, FEED)
    ingest.take(forged)
    assert names(store, version) == ["created"]
    Ingest(store, "another feed").take(both)
    assert names(store, version) == WHOLE


def test_a_feed_made_anew_begins_at_its_beginning(store: Store, version: str) -> None:
    sent = reports(version, whole_run())
    Ingest(store, FEED).take(delivered(sent[:5]))
    anew = Ingest(store, "REPORTS of tomorrow")
    assert anew.position() == 0
    anew.take(delivered(sent[3:]))
    assert names(store, version) == WHOLE


def test_a_restarted_ingest_goes_on_from_its_position(store: Store, version: str) -> None:
    messages = delivered(reports(version, whole_run()))
    while (done := Ingest(store, FEED).position()) < len(messages):
        Ingest(store, FEED).take(messages[done : done + 3])
    assert names(store, version) == WHOLE


def take_all(
    store: Store, messages: Sequence[Delivered], size: int, start: threading.Barrier
) -> None:
    """Take a feed in to its end, beginning again at its position whenever another was first."""
    ingest = Ingest(store, FEED)
    start.wait(HANG_SECONDS)
    while (done := ingest.position()) < len(messages):
        try:
            ingest.take(messages[done : done + size])
        except AppendRefused:
            ingest = Ingest(store, FEED)


@pytest.mark.parametrize("round_", range(4))
def test_two_ingests_of_one_feed_take_each_report_in_once(
    store: Store, version: str, round_: int
) -> None:
    messages = delivered(reports(version, whole_run()))
    start = threading.Barrier(2)
    sizes = (1 + round_, 3)
    at_once([lambda size=size: take_all(store, messages, size, start) for size in sizes])  # type: ignore[misc]
    assert names(store, version) == WHOLE


def test_a_batch_that_overlaps_with_a_twins_is_refused(store: Store, version: str) -> None:
    """All that it is decided on is loaded after the twin's commit: no revision is in its way."""
    messages = delivered(reports(version, whole_run()))
    Ingest(store, FEED).take(messages[:8])
    behind = Ingest(store, FEED)
    with pytest.raises(AppendRefused, match="sequence 4 of feed"):
        behind.take(messages[3:])
    behind.take(messages[8:])
    assert names(store, version) == WHOLE


def test_an_ingest_that_fell_behind_its_twin_saves_nothing_twice(
    store: Store, version: str
) -> None:
    messages = delivered(reports(version, whole_run()))
    slow = Ingest(store, FEED)
    slow.take(messages[:2])
    Ingest(store, FEED).take(messages[2:6])
    with pytest.raises(AppendRefused):
        slow.take(messages[2:])
    slow.take(messages[6:])
    assert names(store, version) == WHOLE


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b"null",
        b'{"version_id": "x"}',
        b'{"version_id": "\xff"}',
        b'{"body": {"report": "exploded"}}',
    ],
)
def test_what_is_no_report_is_passed_over(store: Store, version: str, payload: bytes) -> None:
    sent = reports(version, whole_run())
    messages = [*delivered(sent[:1]), Delivered(2, payload), *delivered(sent[1:], first=3)]
    ingest = Ingest(store, FEED)
    ingest.take(messages)
    assert names(store, version) == WHOLE
    assert ingest.position() == len(messages)


def test_reports_of_an_unknown_version_are_passed_over(store: Store, version: str) -> None:
    ingest = Ingest(store, FEED)
    assert ingest.take(delivered(reports("nowhere", whole_run()))) == 0
    first = ingest.position() + 1
    ingest.take(delivered(reports(version, whole_run()), first))
    assert names(store, version) == WHOLE
    assert names(store, "nowhere") == []


def test_reports_of_several_versions_come_mixed(store: Store) -> None:
    scene = trainable(store)
    two = scene.train(), scene.train()
    runs = [reports(one, whole_run()) for one in two]
    Ingest(store, FEED).take(delivered([one for pair in zip(*runs, strict=True) for one in pair]))
    assert [names(store, one) for one in two] == [WHOLE, WHOLE]


def test_a_users_rename_between_batches_is_noticed(store: Store, version: str) -> None:
    messages = delivered(reports(version, whole_run()))
    ingest = Ingest(store, FEED)
    ingest.take(messages[:4])
    do(store, lambda s: s.change(VERSION, version, RenameVersion("Best")))
    with pytest.raises(AppendRefused):
        ingest.take(messages[4:])
    assert ingest.position() == 4
    ingest.take(messages[4:])
    assert names(store, version) == [*WHOLE[:5], "renamed", *WHOLE[5:]]


def test_a_batch_that_the_database_refuses_is_forgotten(store: Store, version: str) -> None:
    messages = delivered(reports(version, whole_run()))
    ingest = Ingest(store, FEED)
    ingest.take(messages[:4])
    with pytest.raises(PersistenceError):
        ingest.take([*messages[4:-1], Delivered(2**70, messages[-1].payload)])
    ingest.take(messages[4:])
    assert names(store, version) == WHOLE


def test_a_redelivered_job_adds_only_what_is_new(store: Store, version: str) -> None:
    ingest = Ingest(store, FEED)
    first = reports(version, whole_run())[:9]
    resumed = reports(version, whole_run(first_epoch=2), delivery=2)
    late = reports(version, whole_run())[9:]
    ingest.take(delivered([*first, *resumed[:2], *late, *resumed[2:]]))
    found = names(store, version)
    assert found.count("training_started") == 2
    assert found.count("batch_metrics_recorded") == 2
    assert found.count("epoch_metrics_recorded") == 2
    assert found.count("result_reported") == 1


def test_a_retried_version_takes_its_second_attempt_in(store: Store, version: str) -> None:
    ingest = Ingest(store, FEED)
    failed = reports(version, whole_run(epochs=1, failure="no memory"))
    ingest.take(delivered(failed))
    do(store, lambda s: versions.retry_version(s, version))
    again = reports(version, whole_run(first_epoch=2), attempt=2)
    ingest.take(delivered([*failed, *again], len(failed) + 1))
    found = names(store, version)
    assert found.count("training_failed") == 1
    assert found[-1] == "result_reported"
    assert found.count("training_started") == 2
