"""Presets of trainings: options to begin with, a few for each kind of view."""

from collections.abc import Mapping
from typing import Any

from domain.errors import Invalid
from domain.library.view import DETECTION
from domain.training.augmentations import BRIGHTNESS, CONTRAST, default_augmentations
from domain.training.form_controls import TrainingPreset

QUICK, BALANCED, ACCURATE = "quick", "balanced", "accurate"


def presets_for(kind: str) -> tuple[TrainingPreset, ...]:
    """The presets of a kind of view; the form's defaults apply where one says nothing.

    None of them names sizes, which are right for one network only. Augmentations are added that
    change no label.
    """
    quick: dict[str, Any] = {"epochs": 3.0}
    if kind != DETECTION:
        quick["architecture"] = "mobilenet_v3_small"
    lights = [{"op": BRIGHTNESS}, {"op": CONTRAST}]
    accurate = {
        "epochs": 24.0,
        "patience": 8,
        "augmentations": [*default_augmentations(kind), *lights],
    }
    return (
        TrainingPreset(QUICK, "Quick", "Few epochs of a small network: a first result", quick),
        TrainingPreset(BALANCED, "Balanced", "Every default", {}),
        TrainingPreset(
            ACCURATE,
            "Accurate",
            "Four times the epochs, ended early without progress, and varied light",
            accurate,
        ),
    )


def with_preset(kind: str, preset: str | None, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a preset, below those that were chosen. Raises `Invalid`."""
    given = {key: value for key, value in chosen.items() if value is not None}
    if preset is None:
        return given
    presets = {each.key: each.options for each in presets_for(kind)}
    if preset not in presets:
        raise Invalid(f"preset must be one of {', '.join(presets)}, got {preset!r}", field="preset")
    return {**presets[preset], **given}
