"""Both modes of a CloudEvent say the same, and neither tells of a person."""

from typing import Any

import msgspec
import pytest

from domain.dataset.image import ImageAdded
from domain.event import Metadata, Recorded
from domain.subscriptions.cloud_events import binary_headers, cloud_event
from tests.golden.write import METADATA, SHA

ADDED = ImageAdded("project-1", SHA, 640, 480, "anna.png", {"patient": "Anna"})


def structured(metadata: Metadata = METADATA) -> dict[str, Any]:
    """What of an event is in the JSON of the structured mode."""
    event = cloud_event(Recorded("image-7", 3, ADDED, metadata, 478))
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))
    return found


def test_the_structured_mode_has_all_attributes_beside_the_data() -> None:
    assert structured() == {
        "specversion": "1.0",
        "id": METADATA.event_id,
        "source": "/stemma",
        "type": "image.added",
        "subject": "image-7",
        "time": "2026-03-04T05:06:07.890123+00:00",
        "datacontenttype": "application/json",
        "dataschema": "/schemas/events/image.added/2.json",
        "sequence": "0000000000000000478",
        "revision": 3,
        "schemaversion": 2,
        "actor": "user:ada",
        "correlationid": METADATA.correlation_id,
        "causationid": METADATA.causation_id,
        "traceparent": "00-1b2f3e66408fa025e4afd954de5b7294-c5383edf4251cbba-01",
        "data": {
            "event": "image.added",
            "project_id": "project-1",
            "blob": SHA,
            "width": 640,
            "height": 480,
            "file_name": "[erased]",
            "metadata": {},
        },
    }


@pytest.mark.parametrize("causation_id", [METADATA.causation_id, None])
def test_the_headers_of_the_binary_mode_say_the_same_as_texts(causation_id: str | None) -> None:
    metadata = msgspec.structs.replace(METADATA, causation_id=causation_id)
    beside = structured(metadata)
    del beside["data"]
    event = cloud_event(Recorded("image-7", 3, ADDED, metadata, 478))
    assert binary_headers(event) == {f"ce-{name}": str(value) for name, value in beside.items()}
    assert ("ce-causationid" in binary_headers(event)) == (causation_id is not None)


def test_sequences_order_as_texts() -> None:
    events = [cloud_event(Recorded("image-7", 3, ADDED, METADATA, at)) for at in (9, 10, 2**40)]
    texts = [event.sequence for event in events]
    assert texts == sorted(texts)
    assert [event.position for event in events] == [9, 10, 2**40]
