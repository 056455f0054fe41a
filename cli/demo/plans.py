"""What `stemma demo` trains for each kind of view."""

from typing import Any

import msgspec

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING


class Plan(msgspec.Struct, frozen=True):
    """What is trained for a kind of view, and the least that a figure is to come to.

    `scenes` are those to train on; single digits are as many as there are.
    """

    kind: str
    view: str
    figure: str
    expected: float
    options: dict[str, Any]
    scenes: int = 0


class ExperimentPlan(msgspec.Struct, frozen=True):
    """What `stemma demo --experiment` searches: the body of its request, less the seed."""

    name: str
    budget: int
    concurrency: int
    options: dict[str, Any]
    space: dict[str, Any]


# Weights that happen to be at hand would change the metrics.
_FROM_SCRATCH = {"pretrained": "none"}

PLANS = {
    plan.kind: plan
    for plan in (
        Plan(
            CLASSIFICATION,
            "Which digit?",
            "accuracy",
            0.95,
            _FROM_SCRATCH | {"architecture": "resnet18", "width": 32, "height": 32, "epochs": 4},
        ),
        Plan(
            TAGGING,
            "Which digits?",
            "mean_average_precision",
            0.9,
            _FROM_SCRATCH | {"architecture": "resnet18", "width": 96, "height": 96, "epochs": 6},
            3000,
        ),
        Plan(
            DETECTION,
            "Where are digits?",
            "map_50",
            0.7,
            _FROM_SCRATCH
            | {
                "architecture": "fcos_resnet18_fpn",
                "width": 96,
                "height": 96,
                "epochs": 5,
                "optimizer": "adam",
                "augmentations": [],
            },
            1800,
        ),
    )
}

SUSPECTS = _FROM_SCRATCH | {
    "architecture": "resnet18",
    "width": 32,
    "height": 32,
    "epochs": 6,
    "recorded_images": 5000,
}
"""Options of both trainings of `stemma demo --kind suspects`."""

EXPERIMENT = ExperimentPlan(
    name="Demo",
    budget=12,
    concurrency=2,
    options=_FROM_SCRATCH | {"epochs": 9, "width": 32, "height": 32},
    space={
        "architectures": ["resnet18", "mobilenet_v3_small"],
        "optimizers": ["momentum", "nadam"],
        "weight_decays": [0.0, 0.0001, 0.001],
        "augmentations": ["brightness", "contrast"],
    },
)
EXPECTED_OF_EXPERIMENT = 0.99
