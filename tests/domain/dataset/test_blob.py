import pytest

from domain.dataset import blob as blobs
from domain.dataset.blob import (
    Blob,
    BlobErased,
    BlobErasureOrdered,
    ConfirmErasure,
    OrderErasure,
)
from domain.errors import Conflict
from tests.domain.story import Story

ORDERED = BlobErasureOrdered("consent withdrawn")


ORDER, CONFIRM = OrderErasure("consent withdrawn"), ConfirmErasure()

given = Story(blobs.evolve, blobs.decide).given


def test_an_erasure_is_ordered_once_and_confirmed_once() -> None:
    given().when(ORDER).then(ORDERED)
    given(ORDERED).when(OrderErasure("again")).then()
    given(ORDERED).when(CONFIRM).then(BlobErased())
    given(ORDERED, BlobErased()).when(CONFIRM).then()
    assert given(ORDERED, BlobErased()).state == Blob("consent withdrawn", gone=True)


def test_nothing_is_confirmed_that_was_not_ordered() -> None:
    given().when(CONFIRM).then()
    assert given(BlobErased()).state is None


def test_bytes_that_are_erased_are_refused() -> None:
    blobs.refuse_erased(None)
    with pytest.raises(Conflict, match="consent withdrawn"):
        blobs.refuse_erased(Blob("consent withdrawn"))
