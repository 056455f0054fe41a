"""Texts of the flip book's pages that are not in templates, in one place for translation."""

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING

STATE_NAMES = {
    "open": "Open",
    "unsure": "Unsure",
    "upheld": "Upheld",
    "corrected": "Corrected",
    "changed": "Changed since",
}
ITEMS = {
    CLASSIFICATION: "an image",
    TAGGING: "an image and a concept",
    DETECTION: "a true box",
}
