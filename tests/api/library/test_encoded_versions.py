"""Encoded versions are those that a query of rows returns, now and as of every position."""

import pytest
from sqlalchemy import Engine

from api.encoded_versions import EncodedVersions, encode
from projections.training.library_queries import VersionFilter, list_versions
from projections.training.library_revisions import list_revisions
from tests.projections.random_history import random_history

EVENTS = 60
EVERY = VersionFilter(archived=True)


@pytest.mark.parametrize("most_bytes", [0, 1 << 20])
def test_each_revision_is_encoded_as_its_row(engine: Engine, most_bytes: int) -> None:
    log = random_history(1, EVENTS)
    log.follow(engine)
    versions, known = EncodedVersions(most_bytes), 0
    with engine.connect() as connection:
        for position in [*range(len(log.events) + 1), None]:
            rows = list_versions(connection, EVERY, as_of=position)
            revisions = list_revisions(connection, EVERY, as_of=position)
            failed = [row.reason is not None for row in rows]
            found = versions.encode(connection, revisions, position, lambda row: bool(row.reason))
            expected = [
                row if left else encode(row) for row, left in zip(rows, failed, strict=True)
            ]
            assert found == expected, f"as of {position}"
            again = versions.known(revisions)
            assert again == (None if again is None else expected)
            known += bool(again)
    assert (known > 0) == (most_bytes > 0)
