import re

import msgspec
import pytest

from domain.event import Event, Metadata, Recorded, name_of, registry
from domain.library.view import ConceptAdded


def test_events_are_known_by_frozen_names_of_aggregate_and_fact() -> None:
    assert registry()["view.concept_added"] is ConceptAdded
    assert ConceptAdded("c1", "cat").event_name == "view.concept_added"
    for name, event_type in registry().items():
        assert name == name_of(event_type)
        assert re.fullmatch(
            r"(project|image|blob|view|model|version|experiment|trainer|import|account|key|webhook)"
            r"\.[a-z_]+",
            name,
        )


def test_two_events_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not Event's own subclass, which other tests would meet in the registry.
    twin = msgspec.defstruct(
        "Twin", [], bases=(ConceptAdded,), frozen=True, tag="view.concept_added"
    )
    monkeypatch.setattr(Event, "__subclasses__", lambda: [ConceptAdded, twin])
    with pytest.raises(TypeError, match=r"view\.concept_added"):
        registry()


def test_a_recorded_event_knows_its_stream_and_entity() -> None:
    metadata = msgspec.convert(
        dict.fromkeys(["event_id", "actor", "command_id", "correlation_id"], "x")
        | {"occurred_at": "2026-01-01T00:00:00Z"},
        Metadata,
    )
    recorded = Recorded("view-a-b-c", 1, ConceptAdded("c1", "cat"), metadata)
    assert (recorded.stream, recorded.entity_id) == ("view-a-b-c", "a-b-c")
