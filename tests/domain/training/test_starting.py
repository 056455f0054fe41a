"""What a training may start from: the last checkpoint of one that has ended well."""

import msgspec
import pytest

from domain.errors import Invalid
from domain.training.options import resolve_options
from domain.training.starting import WITHOUT_WEIGHTS, from_version
from domain.training.version import (
    ENDED,
    EVALUATING,
    QUEUED,
    TRAINING,
    BestCheckpointSaved,
    Version,
)
from tests.domain.training.version_samples import CREATED

BEST = BestCheckpointSaved("sha", 7, "validation_accuracy", 0.5, 1)
OPTIONS = resolve_options("classification", {"architecture": "resnet18", "start_from": "earlier"})


def earlier(status: str) -> Version:
    return Version(CREATED, "Earlier", status=status, best=BEST)


@pytest.mark.parametrize("status", sorted(ENDED - WITHOUT_WEIGHTS))
def test_an_ended_version_gives_its_checkpoint_with_its_concepts(status: str) -> None:
    weights = from_version(earlier(status), "v", OPTIONS)
    assert msgspec.structs.astuple(weights) == ("sha", "earlier", ("c1", "c2"))


@pytest.mark.parametrize("status", [QUEUED, TRAINING, EVALUATING, *sorted(WITHOUT_WEIGHTS)])
def test_any_other_gives_none_even_if_it_had_saved_one(status: str) -> None:
    with pytest.raises(Invalid, match=status) as refused:
        from_version(earlier(status), "v", OPTIONS)
    assert refused.value.field == "start_from"
