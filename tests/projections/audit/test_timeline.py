"""A time is the last position whose event was recorded until then, whatever the clocks did."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine

import projections.engine.follow
from domain.dataset.project import ProjectRenamed
from domain.event import Metadata, Recorded
from projections.audit import timeline
from projections.audit.timeline import TIMELINE, position_at
from projections.engine.follow import Follower
from tests.projections.engine.rebuilding import compare
from tests.projections.made_log import BEGINNING, MadeLog


def log_at(*seconds: float) -> MadeLog:
    """An event at each of these seconds after the beginning."""
    log = MadeLog()
    for position, second in enumerate(seconds, start=1):
        at = BEGINNING + timedelta(seconds=second)
        metadata = Metadata(f"e{position}", at, "test", "command", "correlation")
        log.events.append(Recorded("project-p", position, ProjectRenamed("n"), metadata, position))
    return log


def asked(connection: Connection, log: MadeLog, second: float) -> int:
    time = BEGINNING + timedelta(seconds=second)
    return position_at(connection, log, time, upto=len(log.events))


def test_a_time_is_the_last_position_recorded_until_then(engine: Engine) -> None:
    log = log_at(1, 2, 2, 5)
    log.follow(engine, [TIMELINE])
    with engine.connect() as connection:
        found = [asked(connection, log, second) for second in (0, 1, 1.5, 2, 4.9, 5, 99)]
    assert found == [0, 1, 1, 3, 3, 4, 4]


def test_before_the_first_event_is_position_0(engine: Engine) -> None:
    with engine.connect() as connection:
        assert asked(connection, MadeLog(), 1) == 0


@pytest.mark.parametrize("seed", range(3))
def test_clocks_that_are_set_back_are_taken_at_their_later_word(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(timeline, "BLOCK", 4)
    monkeypatch.setattr(projections.engine.follow, "PAGE", 3)
    chance = random.Random(seed)
    seconds = [position + chance.choice((0, 0, -3, -20)) for position in range(60)]
    log = log_at(*seconds)
    log.follow(engine, [TIMELINE])
    with engine.connect() as connection:
        for second in range(-25, 65):
            until = [n for n, at in enumerate(seconds, start=1) if at <= second]
            assert asked(connection, log, second) == max(until, default=0), second
    monkeypatch.setattr(projections.engine.follow, "PAGE", 1000)
    assert compare(engine, log, TIMELINE) == []


def test_what_lies_beyond_what_is_visible_does_not_count(engine: Engine) -> None:
    log = log_at(10, 20, 30, 5)
    Follower(engine, log, [TIMELINE]).catch_up()
    with engine.connect() as connection:
        time = BEGINNING + timedelta(seconds=9)
        assert position_at(connection, log, time, upto=4) == 4
        assert position_at(connection, log, time, upto=3) == 0
