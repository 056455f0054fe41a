"""A rebuild reads just the events that its read model writes something for."""

import msgspec
import pytest

from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS
from tests.golden.test_samples import SAMPLES, parts, read


def written(read_model: ReadModel) -> set[str]:
    """The names of the events that a read model writes anything for."""
    found = set()
    for sample in SAMPLES:
        name, _ = parts(sample)
        recorded = msgspec.structs.replace(read(sample), originator_id=f"{name.split('.')[0]}-1")
        if list(read_model.project([recorded])):
            found.add(name)
    return found


@pytest.mark.parametrize("read_model", READ_MODELS, ids=lambda one: one.name)
def test_no_event_is_skipped_that_is_written(read_model: ReadModel) -> None:
    names = written(read_model)
    assert names
    assert {name for name in names if not name.startswith(read_model.names)} == set()
