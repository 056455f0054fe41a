"""Stored events stay readable, and what is written today is what was written before."""

from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.subscriptions.contract.payloads import form_of
from domain.event import Recorded, registry
from tests.golden.write import FOLDER, KEY, METADATA, file_name, sample_mapper

SAMPLES = sorted(FOLDER.glob("*.json"))
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def parts(sample: Path) -> tuple[str, int]:
    """The event's name and the version it was stored in."""
    return form_of(sample.name)


def read(sample: Path) -> Recorded:
    name, _ = parts(sample)
    row = StoredEvent("stream-1", 1, name, sample.read_bytes())
    recorded: Recorded = sample_mapper().to_domain_event(row, KEY)
    return recorded


@pytest.mark.parametrize("name", registry())
def test_every_version_of_every_event_has_a_sample(name: str) -> None:
    versions = range(1, registry()[name].schema_version + 1)
    missing = [file_name(name, v) for v in versions if not (FOLDER / file_name(name, v)).exists()]
    assert missing == [], "see tests/golden/README.md"


@each_sample
def test_a_sample_is_read(sample: Path) -> None:
    recorded = read(sample)
    assert recorded.event.event_name == parts(sample)[0]
    assert recorded.metadata == METADATA


@each_sample
def test_a_sample_of_the_current_version_is_written_byte_for_byte(sample: Path) -> None:
    recorded = read(sample)
    _, version = parts(sample)
    if version == recorded.event.schema_version:
        written = sample_mapper().to_stored_event(recorded, KEY).state
        assert written == sample.read_bytes(), "see tests/golden/README.md"
