"""`stemma reproduce` says what may be the reason for other weights."""

from typing import Any

import torch

from application.training.histories import VersionHistory
from cli.training.reproduce import _different
from domain.training.messages import Started
from domain.training.version import VersionTrainingStarted
from gpu_worker.environment import describe


def history(environment: dict[str, str]) -> VersionHistory:
    nothing: Any = None
    started = VersionTrainingStarted(1, 1, "w", "cpu", environment, 0)
    return VersionHistory("v", nothing, nothing, None, started, None, 1)


def test_a_version_from_before_the_rule_was_recorded_was_read_by_rule_1() -> None:
    now = describe(torch.device("cpu"))
    assert now["decoder"] == "2"
    before = {key: value for key, value in now.items() if key not in {"decoder", "pillow"}}
    again = Started("w", "cpu", now, 0)
    assert _different(history(now), again) == []
    pillow, decoder = _different(history(before), again)
    assert pillow.startswith("pillow was None and is ")
    assert decoder == (
        "decoder was '1' and is '2' (between 1 and 2, the reading of images with transparency"
        " changed)"
    )
