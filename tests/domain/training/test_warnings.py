import msgspec
import pytest

from domain.training.messages import ConceptLabel
from domain.training.options import resolve_options
from domain.training.warnings import warnings_of

CONCEPTS = ConceptLabel("c1", "cat"), ConceptLabel("c2", "dog")
OPTIONS = resolve_options("classification", {"architecture": "resnet18", "optimizer": "nadam"})


def test_a_training_that_can_learn_is_not_warned_of() -> None:
    assert warnings_of(OPTIONS, CONCEPTS, {"c1": 1, "c2": 1}, 2) == []
    assert warnings_of(OPTIONS, CONCEPTS, None, None) == []


def test_a_concept_without_training_images_is_named() -> None:
    (warning,) = warnings_of(OPTIONS, CONCEPTS, {"c1": 8}, None)
    assert warning.startswith("No training image has dog:")


@pytest.mark.parametrize(
    ("optimizer", "count"), [("nadam", 1), ("adam", 1), ("momentum", 0), ("rmsprop", 0)]
)
def test_one_iteration_of_a_one_cycle_schedule_is_warned_of(optimizer: str, count: int) -> None:
    options = msgspec.structs.replace(OPTIONS, optimizer=optimizer)
    found = warnings_of(options, CONCEPTS, {"c1": 1, "c2": 1}, 1)
    assert ["one iteration" in warning for warning in found] == [True] * count
