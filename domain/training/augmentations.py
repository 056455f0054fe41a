"""The augmentations a user can choose: their parameters, and how often each is applied."""

from collections.abc import Mapping

import msgspec

from domain.library.view import DETECTION
from domain.training.form_controls import NUMBER, Control, Default

HORIZONTAL_FLIP, VERTICAL_FLIP, ROTATION = "horizontal_flip", "vertical_flip", "rotation_90"
BRIGHTNESS, CONTRAST = "brightness", "contrast"
RANDOM_CROP, PATCH_NOISE, AUTO = "random_crop", "patch_noise", "auto_augment"


class Operation(msgspec.Struct, frozen=True):
    """An augmentation that can be chosen. `chance` is the probability that it is applied to an
    image that is drawn."""

    label: str
    chance: float
    parameters: tuple[Control, ...] = ()


def _number(key: str, label: str, default: float, low: float, high: float, about: str) -> Control:
    return Control(
        key=key,
        type=NUMBER,
        label=label,
        help=about,
        defaults=(Default(default),),
        minimum=low,
        maximum=high,
        step=0.01,
    )


OPERATIONS: Mapping[str, Operation] = {
    HORIZONTAL_FLIP: Operation("Horizontal flip", 0.5),
    VERTICAL_FLIP: Operation("Vertical flip", 0.5),
    ROTATION: Operation("Rotation by 90°", 0.5),
    BRIGHTNESS: Operation(
        "Brightness",
        0.2,
        (
            _number(
                "max_delta", "Maximum change", 0.05, 0, 1, "Added to all pixels, which are 0 to 1"
            ),
        ),
    ),
    CONTRAST: Operation(
        "Contrast",
        0.2,
        (
            _number("minimum", "Minimum factor", 0.8, 0.5, 1, "Of the distance from the mean"),
            _number("maximum", "Maximum factor", 1.25, 1, 2, "Of the distance from the mean"),
        ),
    ),
    RANDOM_CROP: Operation(
        "Random crop",
        0.5,
        (
            _number("min_aspect", "Minimum aspect ratio", 0.75, 0.1, 1, "Width by height"),
            _number("max_aspect", "Maximum aspect ratio", 1.33, 1, 10, "Width by height"),
            _number("min_area", "Minimum area", 0.5, 0.05, 1, "As a share of the image"),
            _number("max_area", "Maximum area", 1, 0.05, 1, "As a share of the image"),
        ),
    ),
    PATCH_NOISE: Operation(
        "Patch noise",
        0.2,
        (
            _number(
                "max_deviation",
                "Maximum deviation",
                0.05,
                0,
                2,
                "Standard deviation of the noise added to a square patch; pixels are 0 to 1",
            ),
        ),
    ),
    AUTO: Operation("Auto-augment", 1.0),
}
"""By the name that a form and a job have for it."""


def default_augmentations(kind: str) -> list[dict[str, object]]:
    return [{"op": HORIZONTAL_FLIP}] if kind == DETECTION else []
