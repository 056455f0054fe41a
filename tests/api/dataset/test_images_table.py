"""The table of images that PostgreSQL puts together is the one that is made row by row."""

import random
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine, text

from api.dataset.image_list import page_as_table
from api.dataset.images_table import images_table
from domain.dataset.image import (
    Annotation,
    Box,
    ImageAdded,
    ImageAnnotated,
    ImageReviewed,
    ImageSplitAssigned,
)
from projections.dataset.dataset import DATASET
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import list_images
from tests.projections.dataset.test_dataset import EVERY_FILTER, random_history
from tests.projections.made_log import MadeLog

BOXES = (
    Annotation("cat", Box(0.1, 0.2, 0.3, 0.4)),
    Annotation("cat", Box(0.0, 0.25, 1.0, 0.125)),
    Annotation("größe 猫"),
)


NAMES = ("", "ü" * 300, 'a"\\b,c', "猫.png", "plain.png")
UNCHECKED = (*NAMES, "two\x1flines.png", "\x1f")
"""With names that are refused today, and which a log may still have."""


def odd_images(names: Sequence[str] = NAMES) -> MadeLog:
    """Texts of all lengths and scripts, boxes, and reviews."""
    log = MadeLog()
    for number, name in enumerate(names):
        metadata = {f"{name} {n}": name for n in range(number % 3)}
        log.add(f"image-i{number}", ImageAdded("p", f"{number}", 2**31 - 1, 1, name, metadata))
    log.add("image-i1", ImageAnnotated("v", BOXES, False), ImageReviewed("v", 2))
    log.add("image-i2", ImageAnnotated("v", (), True), ImageReviewed("v", 2))
    log.add("image-i3", ImageAnnotated("v", BOXES[:1], False), ImageSplitAssigned("test"))
    log.add("image-i4", ImageAnnotated("w", BOXES, False), ImageReviewed("w", 2))
    return log


FILTERS = [
    ImageFilter(),
    ImageFilter(file_names=("1.png", "猫.png", "")),
    ImageFilter(view_id="v", reviewed=True),
    ImageFilter(view_id="v", concept_id="cat", annotated=False),
    *EVERY_FILTER,
]


@pytest.mark.parametrize(
    "log",
    [odd_images(), odd_images(UNCHECKED), random_history(random.Random(1), 80)],
    ids=["odd", "unchecked", "random"],
)
def test_the_two_are_equal_for_every_filter_page_and_past(engine: Engine, log: MadeLog) -> None:
    log.follow(engine, [DATASET])
    pages: list[dict[str, Any]] = [
        {},
        {"newest": True, "limit": 2},
        {"after": 3, "limit": 3},
        {"as_of": len(log.events) // 2},
    ]
    with engine.connect() as connection:
        for filters, page in product(FILTERS, pages):
            given = {"as_of": None} | page
            rows = images_table(list_images(connection, "p", filters, **given))
            table = page_as_table(connection, "p", filters, **given)
            table.validate(full=True)
            assert table.schema == rows.schema
            assert table.to_pylist() == rows.to_pylist(), (filters, page)
        # What the table needs is not kept for what the transaction reads afterwards.
        assert connection.execute(text("SHOW enable_sort")).scalar_one() == "on"
