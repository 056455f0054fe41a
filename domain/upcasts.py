"""Upcasts of payloads stored in an older form: one pure step from each version to the next."""

from collections.abc import Callable, Mapping
from typing import Any

Payload = dict[str, Any]
Step = Callable[[Payload], Payload]


def _with_validation_set(payload: Payload) -> Payload:
    """Version 1 did not record which images validate."""
    return payload | {"validation_set": None}


_RMSPROP_BEFORE = {"rmsprop_decay": 0.9, "epsilon": 1e-3, "momentum": 0.0}


def _with_whole_form(payload: Payload) -> Payload:
    """Version 1 had seven options; the rest was fixed in the worker."""
    options = dict(payload["options"])
    side = options.pop("image_size")
    options |= {"resizer": "fixed", "width": side, "height": side}
    if options["optimizer"] == "momentum":
        options["momentum"] = 0.9
    if options["optimizer"] == "rmsprop":
        options |= _RMSPROP_BEFORE
    return payload | {"options": options, "initial_weights": None}


def _with_samples(payload: Payload) -> Payload:
    """Version 1 drew each image once, and did not record it."""
    return payload | {"samples": None, "drawn": {}}


def _unchanged(payload: Payload) -> Payload:
    """The version before had fewer values, which have defaults."""
    return payload


def _in_plain_text(payload: Payload) -> Payload:
    """Version 1 was not sealed."""
    return payload


def _ended_by_length(payload: Payload) -> Payload:
    """Version 1 had no other end."""
    return payload | {"ended_by": "length"}


def _with_predictions(payload: Payload) -> Payload:
    """Version 1 covered the validation images of a classification, without predictions."""
    metrics = {
        "images": payload["validation_images"],
        "loss": payload["validation_loss"],
        "accuracy": payload["validation_accuracy"],
    }
    return {
        "checkpoint": payload["checkpoint"],
        "validation": metrics,
        "train": None,
        "predictions": None,
    }


def _without_grey_bits(payload: Payload) -> Payload:
    """Version 2 read 16-bit grey by the upper 8 of 16 bits, which None stands for."""
    return payload | {"grey_bits": None}


UPCASTS: Mapping[tuple[str, int], Step] = {
    ("image.added", 1): _in_plain_text,
    ("project.validation_split_drawn", 1): _unchanged,
    ("project.validation_split_drawn", 2): _unchanged,
    ("project.test_set_drawn", 1): _unchanged,
    ("import.requested", 1): _unchanged,
    ("import.requested", 2): _unchanged,
    ("import.completed", 1): _unchanged,
    ("import.checked", 1): _unchanged,
    ("version.created", 1): _with_whole_form,
    ("version.created", 2): _unchanged,
    ("version.created", 3): _unchanged,
    ("version.created", 4): _unchanged,
    ("version.created", 5): _unchanged,
    ("version.created", 6): _unchanged,
    ("version.created", 7): _unchanged,
    ("version.test_evaluation_requested", 1): _unchanged,
    ("version.suggestions_requested", 1): _unchanged,
    ("trainer.registered", 1): _unchanged,
    ("trainer.form_changed", 1): _unchanged,
    ("experiment.started", 1): _unchanged,
    ("view.created", 1): _unchanged,
    ("version.dataset_frozen", 1): _with_validation_set,
    ("version.dataset_frozen", 2): _without_grey_bits,
    ("version.training_started", 1): _unchanged,
    ("version.training_length_known", 1): _with_samples,
    ("version.epoch_metrics_recorded", 1): _unchanged,
    ("version.epoch_metrics_recorded", 2): _unchanged,
    ("version.best_checkpoint_saved", 1): _unchanged,
    ("version.evaluated", 1): _with_predictions,
    ("version.evaluated", 2): _unchanged,
    ("version.training_failed", 1): _unchanged,
    ("version.training_completed", 1): _ended_by_length,
}
"""By event name and the version that the step starts from."""


def upcast(
    name: str,
    payload: Payload,
    stored_version: int,
    current_version: int,
    steps: Mapping[tuple[str, int], Step] = UPCASTS,
) -> Payload:
    """Bring a payload to the current version. Raises `LookupError` where a step is missing."""
    for version in range(stored_version, current_version):
        if (name, version) not in steps:
            raise LookupError(f"no upcast of {name} from version {version} to {version + 1}")
        payload = steps[name, version](payload)
    if stored_version > current_version:
        raise LookupError(
            f"{name} was stored in version {stored_version}, newer than {current_version}, the"
            " newest that this version of Stemma knows: run a newer version"
        )
    return payload
