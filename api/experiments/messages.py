"""Texts of the experiments' pages that are not in templates, in one place for translation."""

VALIDATION_LOSS = "Validation loss"
LEARNING_RATE = "Learning rate"
