"""The event log: what is appended is read in order by everyone, and what conflicts is refused."""

import itertools
import threading
from typing import Any

import pytest

from application.log.recorder import CommandRow
from application.log.store import AppendRefused, Store
from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.event import Recorded
from tests.application.scenes import at_once, recorded
from tests.servers import Database
from tests.waiting import HANG_SECONDS

CREATED = ProjectCreated("Digits")


def renamed(project: str, first: int, count: int) -> list[Recorded]:
    return [
        recorded(f"project-{project}", revision, ProjectRenamed(f"name {revision}"))
        for revision in range(first, first + count)
    ]


def everything(store: Store) -> list[Recorded]:
    return list(store.read_all())


def without_position(events: list[Recorded]) -> list[tuple[object, ...]]:
    return [(one.stream, one.originator_version, one.event, one.metadata) for one in events]


def test_what_is_appended_is_read_as_it_was(store: Store) -> None:
    events = [recorded("project-1", 1, CREATED), *renamed("1", 2, 2), *renamed("2", 1, 1)]
    assert store.append(events[:1]) == 1
    assert store.append(events[1:]) == 4
    assert without_position(everything(store)) == without_position(events)
    assert [one.position for one in everything(store)] == [1, 2, 3, 4]
    assert store.head() == 4


def test_streams_are_read_each_in_order(store: Store) -> None:
    store.append([*renamed("1", 1, 1), *renamed("2", 1, 2), *renamed("1", 2, 2)])
    found = store.streams(["project-2", "project-1", "project-3"])
    assert list(found) == ["project-2", "project-1", "project-3"]
    assert [[one.originator_version for one in events] for events in found.values()] == [
        [1, 2],
        [1, 2, 3],
        [],
    ]


def test_an_empty_log_ends_at_0(store: Store) -> None:
    assert store.head() == 0
    assert everything(store) == []
    assert store.append([]) == 0


def test_a_page_of_names_or_of_streams_is_in_the_logs_order(store: Store) -> None:
    for revision in range(1, 8):
        event = CREATED if revision % 3 == 1 else ProjectRenamed("x")
        store.append([recorded(f"project-{key}", revision, event) for key in "abc"])
    log = everything(store)
    both, missing = [CREATED.event_name, "project.renamed"], ["version.created"]
    for after, limit, upto in itertools.product((0, 4, 20, 30), (1, 4, 100), (0, 11, 21)):
        within = [one for one in log if after < one.position <= upto]
        for names in (both[:1], both[:1] + missing, both * 2, missing):
            wanted = [one for one in within if one.event.event_name in names]
            assert store.read(after, limit=limit, upto=upto, names=names) == wanted[:limit]
        for streams in (["project-b"], ["project-c", "project-a", "project-c"], ["project-d"]):
            wanted = [one for one in within if one.stream in streams]
            assert store.read_streams(streams, after, upto=upto, limit=limit) == wanted[:limit]


def test_a_page_is_bounded_on_both_sides_and_by_name(store: Store) -> None:
    store.append([recorded("project-1", 1, CREATED), *renamed("1", 2, 8)])
    assert [one.position for one in store.read(3, limit=2)] == [4, 5]
    assert [one.position for one in store.read(3, upto=5)] == [4, 5]
    assert store.read(0, upto=0) == []
    assert [one.position for one in store.read(0, names=["project.created"])] == [1]


def test_the_log_is_read_over_several_pages(store: Store) -> None:
    store.append(renamed("1", 1, 2345))
    assert [one.position for one in everything(store)] == list(range(1, 2346))
    assert len(list(store.read_all(1500, upto=2000))) == 500


def test_a_reader_beside_many_writers_misses_nothing(store: Store, migrated: Database) -> None:
    """Positions become visible in order: what a reader has passed, nobody fills in later."""
    stop, seen = threading.Event(), list[int]()

    def follow() -> None:
        reader = Store(migrated.app_url)
        while not stop.is_set() or reader.head() > (seen[-1] if seen else 0):
            seen.extend(one.position for one in reader.read(seen[-1] if seen else 0, limit=7))
        reader.close()

    def write(writer: int) -> None:
        for batch in range(15):
            store.append(renamed(str(writer), 1 + 3 * batch, 3))
            with pytest.raises(AppendRefused):
                store.append(renamed(str(writer), 1, 2))

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        at_once([lambda writer=writer: write(writer) for writer in range(6)])  # type: ignore[misc]
    finally:
        stop.set()
        follower.join(HANG_SECONDS)
    assert len(seen) == 6 * 15 * 3
    assert seen == [one.position for one in everything(store)]


def test_positions_have_no_gap(store: Store) -> None:
    def write(n: int) -> None:
        store.append(renamed(str(n), 1, 5))
        with pytest.raises(AppendRefused):
            store.append(renamed(str(n), 5, 2))

    at_once([lambda n=n: write(n) for n in range(8)])  # type: ignore[misc]
    assert [one.position for one in everything(store)] == list(range(1, 41))
    assert store.append(renamed("9", 1, 1)) == 41


def test_a_batch_is_appended_whole_among_others(store: Store) -> None:
    def write(writer: int) -> None:
        for batch in range(5):
            store.append(renamed(str(writer), 1 + 4 * batch, 4))

    at_once([lambda n=n: write(n) for n in range(4)])  # type: ignore[misc]
    streams = [one.stream for one in everything(store)]
    assert all(len(set(streams[at : at + 4])) == 1 for at in range(0, len(streams), 4))


def test_a_stream_that_moved_on_is_not_appended_to(store: Store) -> None:
    store.append(renamed("1", 1, 2))
    with pytest.raises(AppendRefused):
        store.append([*renamed("2", 1, 1), *renamed("1", 2, 1)])
    assert len(everything(store)) == 2


def test_of_writers_at_one_revision_one_wins(store: Store) -> None:
    def write() -> bool:
        try:
            return store.append(renamed("1", 1, 1)) > 0
        except AppendRefused:
            return False

    assert sorted(at_once([write] * 6)) == [False] * 5 + [True]
    assert len(everything(store)) == 1


@pytest.mark.parametrize("revisions", [{"project-1": 1}, {"project-3": 1}, {"project-1": 3}])
def test_a_decision_on_streams_that_moved_on_is_refused(
    store: Store, revisions: dict[str, int]
) -> None:
    store.append(renamed("1", 1, 2))
    with pytest.raises(AppendRefused, match=next(iter(revisions))):
        store.append(renamed("2", 1, 1), unchanged={"project-9": 0} | revisions)
    assert len(everything(store)) == 2


def test_a_decision_on_streams_as_they_are_is_saved(store: Store) -> None:
    store.append(renamed("1", 1, 2))
    assert store.append(renamed("2", 1, 1), unchanged={"project-1": 2, "project-9": 0}) > 0


def test_a_command_is_saved_with_its_events_or_not_at_all(store: Store) -> None:
    command = CommandRow("c1", "print", b"done")
    store.append(renamed("1", 1, 1), command=command)
    assert store.find_command("c1") == command
    with pytest.raises(AppendRefused):
        store.append(renamed("1", 1, 1), command=CommandRow("c2", "", b""))
    assert store.find_command("c2") is None


@pytest.mark.parametrize("events", [0, 1])
def test_a_command_is_saved_once(store: Store, events: int) -> None:
    store.append(renamed("1", 1, events), command=CommandRow("c1", "first", b"first"))
    with pytest.raises(AppendRefused):
        store.append(renamed("2", 1, events), command=CommandRow("c1", "again", b"again"))
    assert store.find_command("c1") == CommandRow("c1", "first", b"first")
    assert len(everything(store)) == events


@pytest.mark.parametrize("events", [0, 1])
def test_a_feed_moves_forward_only(store: Store, events: int) -> None:
    assert store.tracked("feed") == 0
    store.append(renamed("1", 1, 1), tracking=("feed", 7))
    for sequence in (6, 7):
        with pytest.raises(AppendRefused):
            store.append(renamed("2", 1, events), tracking=("feed", sequence))
    assert store.tracked("feed") == 7
    assert store.tracked("another") == 0
    assert len(everything(store)) == 1


def test_a_refused_append_moves_no_feed(store: Store) -> None:
    store.append(renamed("1", 1, 1))
    with pytest.raises(AppendRefused):
        store.append(renamed("1", 1, 1), tracking=("feed", 7))
    assert store.tracked("feed") == 0


@pytest.mark.parametrize("before", range(4, 8))
def test_a_connection_serves_on_after_every_refusal(migrated: Database, before: int) -> None:
    """However many appends it has served: psycopg prepares a statement that is used often."""
    store = Store(migrated.app_url, pool_size=1)
    for revision in range(1, before + 1):
        store.append(renamed("1", revision, 1), command=CommandRow(f"c{revision}", "", b""))
    refusals: list[dict[str, Any]] = [
        {"command": CommandRow("c1", "", b"")},
        {"command": CommandRow("c0", "", b""), "unchanged": {"project-1": 1}},
        {"command": CommandRow("c1", "", b""), "unchanged": {"project-1": before}},
        {"tracking": ("feed", -1), "command": CommandRow("c0", "", b"")},
    ]
    store.append([], tracking=("feed", 0))
    for number, refusal in enumerate(refusals, start=1):
        with pytest.raises(AppendRefused):
            store.append(renamed("2", number, 1), **refusal)
        store.append(renamed("2", number, 1), command=CommandRow(f"again {number}", "", b""))
    assert len(everything(store)) == before + len(refusals)
    store.close()
