"""What is particular to S3, spoken over HTTP; `test_blobs` covers what folders do as well."""

import os
import re
from pathlib import Path

import httpx
import pytest
from obstore.exceptions import BaseError

from adapters.blobs.blobs import BlobStore
from adapters.blobs.objects import PIECE

PREFIX = "some/prefix"


@pytest.fixture
def listing_url(s3_server: str, s3_url: str) -> str:
    """Where the server says what is in the bucket."""
    bucket = s3_url.removeprefix("s3://").removesuffix(f"/{PREFIX}")
    return f"{s3_server}/{bucket}"


def test_everything_lies_below_the_prefix(s3_url: str, listing_url: str) -> None:
    digest = BlobStore.from_url(s3_url).put(b"pixels")
    assert f"<Key>{PREFIX}/sha256/{digest[:2]}/{digest}</Key>" in httpx.get(listing_url).text


def parts_of(listing_url: str) -> int:
    """How many parts the one object of the bucket was sent in; 0 if it was sent whole."""
    [tag] = re.findall("<ETag>([^<]*)</ETag>", httpx.get(listing_url).text)
    _, _, parts = tag.strip('"').partition("-")
    return int(parts or 0)


def test_a_large_file_is_sent_in_parts(s3_url: str, listing_url: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(PIECE + 5_000_001))
    blobs = BlobStore.from_url(s3_url)
    digest = blobs.put_file(tmp_path / "large")
    assert parts_of(listing_url) == 2
    blobs.copy_to(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()


def test_a_small_file_is_sent_whole(s3_url: str, listing_url: str) -> None:
    BlobStore.from_url(s3_url).put(b"pixels")
    assert parts_of(listing_url) == 0


def test_a_bucket_needs_no_flush(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("there is no file to flush"))
    blobs = BlobStore.from_url(s3_url)
    blobs.put(b"pixels")
    blobs.flush()


def test_a_bucket_that_is_not_there_is_no_place_to_write_to(s3_url: str) -> None:
    blobs = BlobStore.from_url(s3_url.replace("bucket-", "no-bucket-"))
    with pytest.raises((BaseError, FileNotFoundError)):
        blobs.put(b"pixels")
