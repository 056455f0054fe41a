"""Events are handed over typed, in order and once; what is not known is no error."""

from typing import Any

import msgspec
import pytest

from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.event import Event, Recorded
from domain.subscriptions.cloud_events import binary_headers, cloud_event
from stemma_client import Gap, Unknown, events
from stemma_client._generated.events import EVENT_TYPES
from stemma_client.order import Order
from stemma_client.received import received
from tests.golden.write import EXAMPLES, FOLDER, METADATA


def attributes(
    event: Event, position: int = 1, revision: int = 1, key: str = "7"
) -> dict[str, Any]:
    """The attributes of an event as they come in headers: all of them texts."""
    recorded = Recorded(f"project-{key}", revision, event, METADATA, position)
    headers = binary_headers(cloud_event(recorded))
    return {name.removeprefix("ce-"): value for name, value in headers.items()}


def plain(event: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(event))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda one: one.event_name)
def test_every_event_comes_whole(event: Event) -> None:
    recorded = Recorded("image-1", 3, event, METADATA, 478)
    published = cloud_event(recorded)
    one = received(attributes(event, 478, 3), msgspec.json.encode(published.data))
    assert isinstance(one.event, EVENT_TYPES[event.event_name])
    assert plain(one.event) == plain(published.data)
    assert (one.position, one.revision, one.subject) == (478, 3, "project-7")
    assert (one.id, one.actor) == (METADATA.event_id, METADATA.actor)
    assert one.occurred_at == METADATA.occurred_at


def test_what_came_in_headers_is_the_structured_mode_again() -> None:
    recorded = Recorded("project-7", 1, ProjectCreated("Digits"), METADATA, 1)
    one = received(attributes(recorded.event), b'{"event":"project.created","name":"Digits"}')
    told = msgspec.json.decode(one.json())
    assert told == msgspec.json.decode(msgspec.json.encode(cloud_event(recorded)))


def test_an_older_version_is_brought_to_the_newest() -> None:
    stored = msgspec.json.decode((FOLDER / "version.evaluated.v1.json").read_bytes())
    told = attributes(ProjectCreated("x")) | {"type": "version.evaluated", "schemaversion": "1"}
    one = received(told, msgspec.json.encode(stored["data"]))
    assert isinstance(one.event, events.VersionEvaluated)
    assert one.event.validation.accuracy == stored["data"]["validation_accuracy"]


@pytest.mark.parametrize(
    ("changed", "payload", "fields"),
    [
        ({"type": "view.painted"}, b'{"colour":"red"}', {"colour": "red"}),
        ({"schemaversion": "9"}, b'{"title":"x"}', {"title": "x"}),
        ({}, b'{"event":"project.created"}', {"event": "project.created"}),
        ({"type": "version.evaluated"}, b'{"checkpoint":1}', {"checkpoint": 1}),
        ({"dataref": "/api/v1/events/1/data"}, b"", {}),
        ({}, b"[]", {}),
    ],
    ids=["name", "version", "lacks a field", "cannot be upcast", "too large", "no object"],
)
def test_what_is_not_known_comes_as_it_is(
    changed: dict[str, str], payload: bytes, fields: dict[str, Any]
) -> None:
    told = attributes(ProjectCreated("x")) | changed
    one = received(told, payload)
    assert one.event == Unknown(told["type"], int(told["schemaversion"]), fields)


def test_a_field_that_is_new_is_passed_over() -> None:
    payload = b'{"event":"project.created","name":"Digits","colour":"red"}'
    one = received(attributes(ProjectCreated("x")), payload)
    assert one.event == events.ProjectCreated(name="Digits")


def renamed(position: int, revision: int = 1, key: str = "7") -> Any:
    event = ProjectRenamed("x")
    return received(attributes(event, position, revision, key), msgspec.json.encode(event))


def test_what_was_seen_is_not_taken_again() -> None:
    order = Order(4, every_position=True, every_revision=True)
    seen = [renamed(4, 1), renamed(5, 2), renamed(5, 2), renamed(4, 1), renamed(6, 3)]
    assert [one.position for one in seen if order.takes(one)] == [5, 6]
    assert order.after == 6


def test_a_position_that_is_left_out_is_a_gap() -> None:
    order = Order(4, every_position=True, every_revision=False)
    with pytest.raises(Gap, match="position 6 came after 4"):
        order.takes(renamed(6))
    assert Order(4, every_position=False, every_revision=False).takes(renamed(6))


def test_a_revision_that_is_left_out_is_a_gap() -> None:
    order = Order(0, every_position=False, every_revision=True)
    assert order.takes(renamed(1, 5, "a"))
    assert order.takes(renamed(2, 1, "b"))
    with pytest.raises(Gap, match="revision 7 of project-a, at position 9, came after revision 5"):
        order.takes(renamed(9, 7, "a"))
