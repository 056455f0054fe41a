"""Texts of the datasets' pages that are not in templates, in one place for translation."""

from domain.dataset.imports import NEGATIVE, UNANNOTATED

COUNTS = {
    "images": "images read",
    "added": "added",
    "annotated": "annotated",
    "reannotated": "annotated again",
    "split_assigned": "moved to another split",
    "views": "views created",
    "concepts": "concepts created",
    "skipped": "skipped",
    "left_out": "left out",
    "notes": "notes",
}
RULES = {
    "view": "view {}",
    "kind": "for {}",
    "new_concepts": "no new concepts",
    "skip_bad": "bad lines skipped",
    "clip": "boxes clipped",
    "dry_run": "dry run",
    "unlabelled": "images without annotations not annotated",
    "origin": "boxes are counted from {}",
}
AUTO_DETECT = "auto-detect"
AS_IN_THE_SOURCE = "as in the source"
UNLABELLED = {NEGATIVE: "without concept", UNANNOTATED: "not annotated"}
ORIGINS = {
    "": "Detect from the boxes",
    "1": "1, as in the VOC development kit",
    "0": "0, as in CVAT",
}
WITHOUT_CONCEPT = "without concept"
