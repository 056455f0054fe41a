import pytest

from domain.dataset import blob as blobs
from domain.dataset.blob import Blob, BlobErased, BlobErasureOrdered
from domain.errors import Conflict

ORDERED = BlobErasureOrdered("consent withdrawn")


def test_an_erasure_is_ordered_once_and_confirmed_once() -> None:
    assert blobs.order_erasure("consent withdrawn", None) == [ORDERED]
    ordered = blobs.evolve(None, ORDERED)
    assert ordered == Blob("consent withdrawn")
    assert blobs.order_erasure("again", ordered) == []
    assert blobs.confirm_erasure(ordered) == [BlobErased()]
    gone = blobs.evolve(ordered, BlobErased())
    assert gone == Blob("consent withdrawn", gone=True)
    assert blobs.confirm_erasure(gone) == []


def test_nothing_is_confirmed_that_was_not_ordered() -> None:
    assert blobs.confirm_erasure(None) == []
    assert blobs.evolve(None, BlobErased()) is None


def test_bytes_that_are_erased_are_refused() -> None:
    blobs.refuse_erased(None)
    with pytest.raises(Conflict, match="consent withdrawn"):
        blobs.refuse_erased(Blob("consent withdrawn"))
