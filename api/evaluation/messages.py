"""Texts of the evaluations' pages that are not in templates, in one place for translation."""

SHOWN_IMAGES = {
    "all": "All",
    "errors": "Errors",
    "misclassified": "Misclassified",
    "false_positives": "False positives",
    "false_negatives": "False negatives",
}
