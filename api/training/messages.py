"""Texts of the trainings' pages that are not in templates, in one place for translation."""

STEP_LABELS = {
    "queued": "Queued",
    "preparing": "Preparing data",
    "training": "Training",
    "evaluating": "Evaluating",
    "saving": "Saving",
}
TRAINER = "Trainer"
BUILT_IN = "Stemma's own"
DECLARED = "{}, declared by the trainer"
ALL_PROJECTS = "All projects"
LOWER_RATE = "lower the initial learning rate"
"""What a worker advises where numbers were not finite (gpu_worker/failures.py)."""
