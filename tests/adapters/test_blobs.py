"""The blob store never hands out other bytes than a digest names."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.blobs import BlobCorrupt, BlobMissing, BlobStore

DATA = b"some pixels"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "not there yet" / "blobs"


@pytest.fixture
def blobs(folder: Path) -> BlobStore:
    return BlobStore.from_url(f"file://{folder}")


def file_of(folder: Path, digest: str) -> Path:
    [found] = folder.rglob(digest)
    return found


def test_bytes_are_kept_under_their_sha256(blobs: BlobStore) -> None:
    assert not blobs.has(DIGEST)
    assert blobs.put(DATA) == DIGEST
    assert blobs.has(DIGEST)
    assert blobs.get(DIGEST) == DATA


@pytest.mark.parametrize("data", [b"", b"\0" * 1_000_000])
def test_any_bytes_are_kept(blobs: BlobStore, data: bytes) -> None:
    assert blobs.get(blobs.put(data)) == data


def test_bytes_outlive_the_store(blobs: BlobStore, folder: Path) -> None:
    blobs.put(DATA)
    assert BlobStore.from_url(f"file://{folder}").get(DIGEST) == DATA


def test_storing_again_writes_nothing(blobs: BlobStore, folder: Path) -> None:
    blobs.put(DATA)
    before = file_of(folder, DIGEST).stat()
    assert blobs.put(DATA) == DIGEST
    assert file_of(folder, DIGEST).stat() == before


def test_storing_at_once_is_storing_once(blobs: BlobStore, folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(blobs.put, [DATA] * 64))
    assert digests == {DIGEST}
    assert blobs.get(DIGEST) == DATA
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("damage", [b"", b"some pixelz", DATA + b"!"])
def test_changed_bytes_are_not_handed_out(blobs: BlobStore, folder: Path, damage: bytes) -> None:
    blobs.put(DATA)
    file_of(folder, DIGEST).write_bytes(damage)
    with pytest.raises(BlobCorrupt, match=DIGEST):
        blobs.get(DIGEST)


def test_missing_bytes_are_said_to_be_missing(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing, match=DIGEST):
        blobs.get(DIGEST)
    with pytest.raises(BlobMissing, match="v1/checkpoint"):
        blobs.get_scratch("v1/checkpoint")


def test_scratch_is_overwritten(blobs: BlobStore) -> None:
    blobs.put_scratch("v1/checkpoint", b"first")
    blobs.put_scratch("v1/checkpoint", b"second")
    assert blobs.get_scratch("v1/checkpoint") == b"second"


def test_scratch_is_listed_by_folder(blobs: BlobStore) -> None:
    for name in ("v1/b", "v1/a", "v2/a", "v10/a"):
        blobs.put_scratch(name, b"")
    blobs.put(DATA)
    assert blobs.list_scratch("v1") == ["v1/a", "v1/b"]
    assert blobs.list_scratch("v3") == []


def test_scratch_is_deleted_and_deleted_again(blobs: BlobStore) -> None:
    blobs.put_scratch("v1/a", b"")
    blobs.put_scratch("v1/b", b"")
    for _ in range(2):
        blobs.delete_scratch("v1/a")
        assert blobs.list_scratch("v1") == ["v1/b"]


def test_a_folder_with_a_space_is_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my blobs"
    BlobStore.from_url(folder.as_uri()).put(DATA)
    assert file_of(folder, DIGEST).read_bytes() == DATA
