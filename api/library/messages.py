"""Texts of the library's pages that are not in templates, in one place for translation."""

from projections.training.metric_history import (
    BATCH_LOSS,
    LEARNING_RATE,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
    VALIDATION_MAP,
)

METRICS = {
    VALIDATION_ACCURACY: "Accuracy (validation)",
    VALIDATION_MAP: "mAP (validation)",
    VALIDATION_LOSS: "Total loss (validation)",
    BATCH_LOSS: "Total loss (batch)",
    LEARNING_RATE: "Learning rate",
}
NOT_SET = "not set"
COLUMNS = {
    "name": "Version",
    "model": "Model",
    "status": "Status",
    "best": "",
    "loss": "Loss",
    "architecture": "Architecture",
    "images": "Images",
    "newest": "Created",
    "duration": "Trained for",
}
"""The columns of the library, by the order that sorts by them, where one does."""
INDICATOR = {True: "Accuracy", False: "mAP"}
"""The short name of the indicator, by whether the view is a classification."""
TRAINED_ON = "{train:,} training and {validation}."
VALIDATION_IMAGE = "validation image"
WORKERS_UNKNOWN = "NATS does not answer: the number of workers online is unknown."
NO_WORKERS = "No workers online: trainings stay queued until one starts."
WORKERS_ONLINE = "{} online."
