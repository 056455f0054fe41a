"""Events to rows and back: what this program does not know it refuses with advice."""

import json
from typing import ClassVar

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from application.log import mapper as mappers
from application.log.mapper import EventMapper
from domain import upcasts
from domain.dataset.project import ProjectCreated
from tests.application.scenes import recorded

RECORDED = recorded("project-1", 1, ProjectCreated("Digits"))


def stored(**changes: object) -> StoredEvent:
    """The row of `RECORDED`, with changes to its JSON."""
    row = EventMapper().to_stored_event(RECORDED)
    state = json.dumps(json.loads(row.state) | changes).encode()
    topic = str(changes.get("topic", row.topic))
    return StoredEvent(row.originator_id, row.originator_version, topic, state)


def test_an_event_comes_back_as_it_was() -> None:
    mapper = EventMapper()
    assert mapper.to_domain_event(mapper.to_stored_event(RECORDED)) == RECORDED


def test_the_row_is_readable_json_under_the_frozen_name() -> None:
    row = EventMapper().to_stored_event(RECORDED)
    assert row.topic == "project.created"
    body = json.loads(row.state)
    assert body["schema_version"] == 1
    assert body["data"] == {"event": "project.created", "name": "Digits"}
    assert body["actor"] == "test"


def test_an_unknown_name_is_refused_with_advice() -> None:
    with pytest.raises(LookupError, match=r"'project\.exploded'.*newer version"):
        EventMapper().to_domain_event(stored(topic="project.exploded"))


def test_a_newer_version_is_refused_with_advice() -> None:
    with pytest.raises(LookupError, match=r"project\.created.*version 2.*newer version"):
        EventMapper().to_domain_event(stored(schema_version=2))


def test_a_payload_that_is_not_the_events_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="name"):
        EventMapper().to_domain_event(stored(data={"event": "project.created"}))


def test_an_older_version_is_read_through_its_upcast(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not Event's own subclass, which other tests would meet in the registry.
    class Owned(ProjectCreated, frozen=True, tag="project.created"):
        schema_version: ClassVar[int] = 2
        owner: str

    monkeypatch.setattr(mappers, "registry", lambda: {"project.created": Owned})
    steps = {("project.created", 1): lambda old: old | {"owner": "nobody"}}
    monkeypatch.setattr(upcasts.upcast, "__defaults__", (steps,))
    mapper = EventMapper()
    old = mapper.to_domain_event(stored())
    assert (old.event, old.metadata) == (Owned("Digits", "nobody"), RECORDED.metadata)
    new = recorded("project-1", 1, Owned("Numbers", "ada"))
    assert mapper.to_domain_event(mapper.to_stored_event(new)) == new
