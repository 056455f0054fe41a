"""Checks of the tables beside the log, which no checkpoint covers, against the log's events.

What they hold does not follow from the events alone, so only contradictions can be found.
"""

from collections.abc import Iterator

import msgspec
import psycopg

from adapters.audit.stored import Connection, head
from application.log.store import KEEPALIVE_OPTIONS

MOST_NAMED = 20

_ENVELOPES = """
    SELECT notification_id AS position, originator_id AS stream,
           body ->> 'actor' AS actor, body ->> 'command_id' AS command_id,
           body ->> 'sealed' AS sealed
    FROM (
        SELECT notification_id, originator_id, convert_from(state, 'UTF8')::json AS body
        FROM log.stemma_events WHERE notification_id <= %(head)s
    ) AS stored
"""

# A worker's reports are known by the sequence of their feed, and not by an id.
_COMMANDS = f"""
    SELECT min(position), command_id FROM ({_ENVELOPES}) AS event
    WHERE actor NOT LIKE 'worker:%%' AND NOT EXISTS (
        SELECT FROM log.commands known WHERE known.command_id = event.command_id
    ) GROUP BY command_id ORDER BY 1 LIMIT {MOST_NAMED}
"""

_FEEDS = """
    SELECT 'the feed ' || application_name, notification_id FROM log.stemma_tracking
    WHERE notification_id > %(head)s AND (
        application_name IN ('erasures', 'experiments', 'imports')
        OR application_name LIKE 'policies for %%' OR application_name LIKE 'control for %%'
    )
    UNION ALL SELECT 'the read model ' || read_model, position FROM read.positions
    WHERE position > %(head)s ORDER BY 1
"""

_KEYS_LEFT = f"""
    SELECT subject FROM log.subject_keys WHERE EXISTS (
        SELECT FROM log.stemma_events WHERE originator_id = subject AND topic LIKE '%%.erased'
    ) ORDER BY 1 LIMIT {MOST_NAMED}
"""

_KEYS_GONE = f"""
    SELECT stream, min(position) FROM ({_ENVELOPES}) AS event
    WHERE sealed IS NOT NULL
        AND NOT EXISTS (SELECT FROM log.subject_keys WHERE subject = event.stream)
        AND NOT EXISTS (
            SELECT FROM log.stemma_events
            WHERE originator_id = event.stream AND topic LIKE '%%.erased'
        )
    GROUP BY stream ORDER BY 2 LIMIT {MOST_NAMED}
"""


class BesideReport(msgspec.Struct, frozen=True):
    """What contradicts the log in the tables beside it, and which were not looked at, and why."""

    findings: list[str]
    unchecked: list[str]


def check_beside(url: str) -> BesideReport:
    """Compare the tables beside the log with it, as far as this role may read them."""
    with psycopg.connect(url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
        end = {"head": head(connection)}
        findings, unchecked = list[str](), list[str]()
        for table, check in (
            ("log.commands", _commands),
            ("log.stemma_tracking", _positions),
            ("log.subject_keys", _subject_keys),
        ):
            try:
                findings += check(connection, end)
            except psycopg.errors.InsufficientPrivilege:
                unchecked.append(f"{table} is not compared: this role may not read it")
            except psycopg.DataError:
                unchecked.append(f"{table} is not compared: there are events that are not JSON")
        return BesideReport(findings, unchecked)


def _commands(connection: Connection, end: dict[str, int]) -> Iterator[str]:
    for position, command_id in connection.execute(_COMMANDS, end):
        yield (
            f"command {command_id} of event {position} is missing from log.commands: the same"
            " request would be carried out again"
        )


def _positions(connection: Connection, end: dict[str, int]) -> Iterator[str]:
    for what, position in connection.execute(_FEEDS, end):
        yield (
            f"{what} claims to be at position {position}, beyond the log's end at {end['head']}:"
            " it would skip the next events"
        )


def _subject_keys(connection: Connection, end: dict[str, int]) -> Iterator[str]:
    for (subject,) in connection.execute(_KEYS_LEFT):
        yield f"log.subject_keys has the key of {subject}, which was erased"
    for stream, position in connection.execute(_KEYS_GONE, end):
        yield (
            f"the key of {stream} is missing from log.subject_keys, and it was not erased: from"
            f" event {position} on its names cannot be read"
        )
