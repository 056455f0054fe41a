"""The blob store, in a folder or on S3, never hands out other bytes than a digest names."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard

from adapters.blobs import objects
from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore, StoredBlob
from adapters.blobs.objects import FLUSH_AT, PIECE, Objects, utc_now

DATA = b"some pixels"
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = f"sha256/{DIGEST[:2]}/{DIGEST}"
LARGE = os.urandom(2 * PIECE) + DATA


@pytest.fixture
def blobs(any_blobs_url: str) -> BlobStore:
    return BlobStore.from_url(any_blobs_url)


@pytest.fixture
def raw(any_blobs_url: str) -> Objects:
    """The same folder or bucket, to damage what is in it."""
    return Objects.from_url(any_blobs_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def local(folder: Path) -> BlobStore:
    return BlobStore.from_url(folder.as_uri())


def packed_key(digest: str) -> str:
    return f"zstd/{digest[:2]}/{digest}"


def test_bytes_are_kept_under_their_sha256(blobs: BlobStore) -> None:
    assert not blobs.has(DIGEST)
    assert blobs.put(DATA) == DIGEST
    assert blobs.has(DIGEST)
    assert blobs.get(DIGEST) == DATA


def test_what_was_staged_becomes_a_blob_by_being_renamed(local: BlobStore, folder: Path) -> None:
    staging = local.staging("mine")
    assert staging is not None
    assert staging.write(b"damaged")
    assert staging.write(DATA) == DIGEST
    assert not local.has(DIGEST)
    assert list(local.list_blobs()) == []
    inode = (folder / "staged" / "mine" / DIGEST).stat().st_ino
    local.put_staged(staging, DIGEST)
    local.flush()
    assert local.get(DIGEST) == DATA
    assert (folder / KEY).stat().st_ino == inode
    with pytest.raises(BlobMissing):
        local.put_staged(staging, DIGEST)
    staging.delete()
    staging.delete()
    assert list((folder / "staged").iterdir()) == []
    assert local.get(DIGEST) == DATA


def test_nothing_is_staged_in_a_bucket(s3_url: str) -> None:
    assert BlobStore.from_url(s3_url).staging("mine") is None


@pytest.mark.parametrize("data", [b"", b"\0" * 1_000_000, LARGE], ids=len)
def test_any_bytes_are_kept(blobs: BlobStore, data: bytes, tmp_path: Path) -> None:
    digest = blobs.put(data)
    assert blobs.get(digest) == data
    assert b"".join(blobs.chunks(digest)) == data
    blobs.copy_to(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


@pytest.mark.parametrize("data", [b"", DATA, LARGE], ids=len)
def test_a_file_is_kept_as_its_bytes_are(blobs: BlobStore, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    digest = blobs.put_file(tmp_path / "file")
    assert digest == hashlib.sha256(data).hexdigest()
    assert blobs.get(digest) == data


def test_bytes_outlive_the_store(blobs: BlobStore, any_blobs_url: str) -> None:
    blobs.put(DATA)
    assert BlobStore.from_url(any_blobs_url).get(DIGEST) == DATA


def test_blobs_are_listed_with_size_and_time(blobs: BlobStore) -> None:
    assert list(blobs.list_blobs()) == []
    began = utc_now() - timedelta(seconds=2)
    blobs.put(DATA)
    packed, _ = blobs.put_compressed([DATA])
    blobs.put_scratch("x", DATA)
    found = {blob.key: blob for blob in blobs.list_blobs()}
    assert found.keys() == {KEY, packed_key(packed)}
    assert found[KEY].size == len(DATA)
    assert found[KEY].digest == DIGEST
    assert began < found[KEY].modified <= utc_now() + timedelta(seconds=2)


def test_storing_again_writes_nothing(local: BlobStore, folder: Path) -> None:
    local.put(DATA)
    before = (folder / KEY).stat()
    assert local.put(DATA) == DIGEST
    assert (folder / KEY).stat() == before


def test_storing_after_half_a_day_writes_again(
    blobs: BlobStore, raw: Objects, any_blobs_url: str
) -> None:
    damage = b"x" * len(DATA)
    raw.write(KEY, damage)
    blobs.put(DATA)
    assert raw.read(KEY) == damage
    BlobStore.from_url(any_blobs_url, clock=lambda: utc_now() + timedelta(hours=13)).put(DATA)
    assert raw.read(KEY) == DATA


@pytest.mark.parametrize("torn", [b"", DATA[:-1], DATA + b"!"])
def test_storing_mends_what_has_the_wrong_size(
    blobs: BlobStore, raw: Objects, torn: bytes, tmp_path: Path
) -> None:
    raw.write(KEY, torn)
    blobs.put(DATA)
    assert blobs.get(DIGEST) == DATA
    raw.write(KEY, torn)
    (tmp_path / "file").write_bytes(DATA)
    blobs.put_file(tmp_path / "file")
    assert blobs.get(DIGEST) == DATA


def test_storing_mends_a_torn_packed_blob(blobs: BlobStore, raw: Objects) -> None:
    digest, _ = blobs.put_compressed([DATA])
    raw.write(packed_key(digest), b"")
    blobs.put_compressed([DATA])
    assert b"".join(blobs.read_compressed(digest)) == DATA


def test_storing_at_once_is_storing_once(blobs: BlobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(blobs.put, [DATA] * 64))
    assert digests == {DIGEST}
    assert blobs.get(DIGEST) == DATA
    assert len(list(blobs.list_blobs())) == 1


@pytest.mark.parametrize("damage", [b"", b"some pixelz", DATA + b"!"])
def test_changed_bytes_are_not_handed_out(
    blobs: BlobStore, raw: Objects, damage: bytes, tmp_path: Path
) -> None:
    raw.write(KEY, damage)
    with pytest.raises(BlobCorrupt, match=DIGEST):
        blobs.get(DIGEST)
    with pytest.raises(BlobCorrupt, match=DIGEST):
        list(blobs.chunks(DIGEST))
    with pytest.raises(BlobCorrupt, match=DIGEST):
        blobs.copy_to(DIGEST, tmp_path / "copy")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_missing_bytes_are_said_to_be_missing(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(BlobMissing, match=DIGEST):
        blobs.get(DIGEST)
    with pytest.raises(BlobMissing, match=DIGEST):
        blobs.chunks(DIGEST)  # at once, not when the first piece is asked for
    with pytest.raises(BlobMissing, match=DIGEST):
        blobs.read_compressed(DIGEST)
    with pytest.raises(BlobMissing, match="v1/checkpoint"):
        blobs.get_scratch("v1/checkpoint")
    with pytest.raises(BlobMissing, match="v1/checkpoint"):
        blobs.copy_scratch_to("v1/checkpoint", tmp_path / "copy")


@pytest.mark.parametrize("chunks", [[], [DATA], [b"", DATA, b"", DATA], [b"ab" * 500_000] * 20])
def test_packed_content_has_the_digest_of_what_it_unpacks_to(
    blobs: BlobStore, raw: Objects, chunks: list[bytes]
) -> None:
    whole = b"".join(chunks)
    digest, size = blobs.put_compressed(iter(chunks))
    assert (digest, size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert b"".join(blobs.read_compressed(digest)) == whole
    assert raw.entry(packed_key(digest)).size < len(whole) // 100 + 100
    with pytest.raises(BlobMissing):
        blobs.get(digest)


def test_packed_content_is_checked_when_it_is_read(blobs: BlobStore, raw: Objects) -> None:
    content = os.urandom(300_000)
    digest, _ = blobs.put_compressed([content])
    packed = raw.read(packed_key(digest))
    other = zstandard.compress(b"other content")
    changed = packed[:1000] + b"!" + packed[1001:]
    for damage in (packed[:-5], packed[:10], b"", b"no zstd", other, changed):
        raw.write(packed_key(digest), damage)
        with pytest.raises(BlobCorrupt, match=digest):
            list(blobs.read_compressed(digest))


def test_a_packed_bomb_is_stopped_early(blobs: BlobStore, raw: Objects) -> None:
    raw.write(packed_key(DIGEST), zstandard.compress(bytes(100_000_000)))
    unpacked = 0
    reading = blobs.read_compressed(DIGEST, max_bytes=1_000_000)

    def count(pieces: Iterator[bytes]) -> None:
        nonlocal unpacked
        for piece in pieces:
            unpacked += len(piece)

    with pytest.raises(BlobCorrupt, match="more than 1,000,000 bytes"):
        count(reading)
    assert 0 < unpacked <= 1_000_000


def test_content_of_just_the_limit_is_read(blobs: BlobStore) -> None:
    digest, size = blobs.put_compressed([bytes(1_000_000)])
    assert len(b"".join(blobs.read_compressed(digest, max_bytes=size))) == size


def test_what_is_derived_may_be_missing_or_torn(blobs: BlobStore, raw: Objects) -> None:
    assert blobs.get_derived("thumbnail/1") is None
    blobs.put_derived("thumbnail/1", DATA)
    assert blobs.get_derived("thumbnail/1") == DATA
    blobs.put_derived("thumbnail/1", b"")
    assert blobs.get_derived("thumbnail/1") == b""
    for torn in (b"", b"half", DATA * 10):
        raw.write("derived/thumbnail/1", torn)
        assert blobs.get_derived("thumbnail/1") is None


def test_scratch_is_overwritten(blobs: BlobStore) -> None:
    blobs.put_scratch("v1/checkpoint", b"first")
    blobs.put_scratch("v1/checkpoint", b"second")
    assert blobs.get_scratch("v1/checkpoint") == b"second"


def test_scratch_goes_by_way_of_files(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(LARGE)
    blobs.put_scratch_file("v1/checkpoint", tmp_path / "from")
    blobs.copy_scratch_to("v1/checkpoint", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == LARGE


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


def discard_all(blobs: BlobStore) -> list[StoredBlob]:
    """Put everything in the trash; what is there then."""
    for blob in blobs.list_blobs():
        blobs.discard(blob)
    assert list(blobs.list_blobs()) == []
    return list(blobs.list_trash())


def copied(blobs: BlobStore, path: Path) -> bytes:
    blobs.copy_to(DIGEST, path)
    return path.read_bytes()


READERS: dict[str, Callable[[BlobStore, Path], bytes]] = {
    "get": lambda blobs, _: blobs.get(DIGEST),
    "chunks": lambda blobs, _: b"".join(blobs.chunks(DIGEST)),
    "read_compressed": lambda blobs, _: b"".join(blobs.read_compressed(DIGEST)),
    "copy_to": copied,
}


@pytest.mark.parametrize("reader", READERS)
def test_reading_puts_a_blob_back_from_the_trash(
    blobs: BlobStore, reader: str, tmp_path: Path
) -> None:
    blobs.put(DATA)
    blobs.put_compressed([DATA])
    assert len(discard_all(blobs)) == 2
    assert READERS[reader](blobs, tmp_path / "copy") == DATA
    assert len(list(blobs.list_blobs())) == len(list(blobs.list_trash())) == 1


def test_asking_for_a_blob_puts_it_back_from_the_trash(blobs: BlobStore) -> None:
    blobs.put(DATA)
    discard_all(blobs)
    assert blobs.has(DIGEST)
    assert list(blobs.list_trash()) == []


def test_many_readers_put_a_blob_back_once(blobs: BlobStore) -> None:
    blobs.put(DATA)
    for _ in range(5):
        discard_all(blobs)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(blobs.get, [DIGEST] * 16)) == {DATA}


def test_the_trash_counts_time_from_the_discarding(local: BlobStore, folder: Path) -> None:
    local.put(DATA)
    os.utime(folder / KEY, (1, 1))
    [trashed] = discard_all(local)
    assert utc_now() - trashed.modified < timedelta(minutes=1)
    os.utime(folder / "trash" / KEY, (1, 1))
    local.get(DIGEST)
    [back] = local.list_blobs()
    assert utc_now() - back.modified < timedelta(minutes=1)


def test_storing_anew_leaves_the_trash_alone(blobs: BlobStore) -> None:
    blobs.put(DATA)
    [trashed] = discard_all(blobs)
    assert not blobs.is_stored_anew(trashed)
    blobs.put(DATA)
    assert blobs.is_stored_anew(trashed)
    blobs.purge(trashed)
    assert list(blobs.list_trash()) == []
    assert blobs.get(DIGEST) == DATA


def test_what_is_purged_is_gone(blobs: BlobStore) -> None:
    blobs.put(DATA)
    [trashed] = discard_all(blobs)
    blobs.purge(trashed)
    blobs.discard(trashed)  # what has gone meanwhile is no error
    assert not blobs.has(DIGEST)


def test_a_folder_with_a_space_is_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my blobs"
    BlobStore.from_url(folder.as_uri()).put(DATA)
    assert (folder / KEY).read_bytes() == DATA


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that this process has had written to the disk."""
    paths: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def noting_all(folder: Path) -> None:
        paths.append(f"all of {folder}")
        syncfs(folder)

    syncfs = objects._syncfs
    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(objects, "_syncfs", noting_all)
    return paths


def test_flush_writes_blobs_and_folders_to_the_disk(
    local: BlobStore, folder: Path, synced: list[str]
) -> None:
    local.put(DATA)
    packed, _ = local.put_compressed([DATA])
    assert synced == []
    local.flush()
    files = [folder / KEY, folder / packed_key(packed)]
    parents = [
        parent for file in files for parent in file.parents if folder in (parent, *parent.parents)
    ]
    assert set(synced) == {str(path) for path in [*files, *parents]}
    synced.clear()
    local.flush()
    assert synced == []


def test_flush_makes_sure_of_what_another_has_stored(
    local: BlobStore, folder: Path, synced: list[str]
) -> None:
    BlobStore.from_url(folder.as_uri()).put(DATA)
    local.put(DATA)
    local.flush()
    assert str(folder / KEY) in synced


def test_a_failed_flush_is_done_again(
    local: BlobStore, folder: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("no space left")

    local.put(DATA)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            local.flush()
    local.flush()
    assert str(folder / KEY) in synced


def test_writes_that_nobody_flushes_are_flushed_now_and_then(
    local: BlobStore, folder: Path, synced: list[str]
) -> None:
    for number in range(FLUSH_AT):
        local.put(b"%d" % number)
    assert synced == [f"all of {folder}"]


def test_a_blob_that_is_put_at_once_with_a_flush_is_flushed(
    local: BlobStore, folder: Path, synced: list[str]
) -> None:
    def put_and_flush(number: int) -> str:
        digest = local.put(b"%d" % number)
        local.flush()
        assert any(path.endswith(digest) for path in synced)
        return digest

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(put_and_flush, range(200)))) == 200
    assert len(list(folder.rglob("*"))) > 200


def test_large_files_take_little_memory(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from adapters.blobs.blobs import BlobStore
folder = Path(sys.argv[1])
blobs = BlobStore.from_url((folder / "blobs").as_uri())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with (folder / "large").open("wb") as file:
    file.truncate(400_000_000)
digest = blobs.put_file(folder / "large")
blobs.copy_to(digest, folder / "copy")
blobs.put_scratch_file("x", folder / "large")
blobs.copy_scratch_to("x", folder / "copy")
packed, size = blobs.put_compressed(blobs.chunks(digest))
assert packed == digest and size == 400_000_000
assert sum(map(len, blobs.read_compressed(packed))) == size
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 120, "megabytes"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.unlink()  # pytest keeps its folders


def test_a_folder_is_deleted_with_what_killed_writers_left(folder: Path) -> None:
    blobs = BlobStore.from_url(f"file://{folder}")
    for key in ("resume/a/1", "resume/a/deep/2", "resume/b/1"):
        blobs.put_scratch(key, DATA)
    # As obstore names a file that is not whole yet.
    (folder / "scratch/resume/a/1#1").write_bytes(DATA[:3])
    blobs.delete_scratch_folder("resume/a")
    blobs.delete_scratch_folder("resume/none")
    left = [path for path in (folder / "scratch").rglob("*") if path.is_file()]
    assert left == [folder / "scratch/resume/b/1"]
