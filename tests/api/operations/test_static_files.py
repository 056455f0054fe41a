"""Static files: kept by browsers under the digest of all of them, and compressed."""

import gzip
from collections.abc import Callable, Iterator

import httpx
import pytest
import zstandard

from api.pages import assets
from tests.api.scene import Scene


@pytest.fixture
def anybody(site: Scene) -> Iterator[httpx.Client]:
    with site.nobody() as client:
        yield client


def test_a_file_under_the_digest_is_kept(anybody: httpx.Client) -> None:
    answer = anybody.get(assets.address("style.css"))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"].startswith("text/css")
    # Modules import each other by relative addresses, which stay below the digest.
    assert anybody.get(assets.address("training/../api.js")).is_success


@pytest.mark.parametrize("address", ["/static/style.css", "/static/v.0123456789abcdef/style.css"])
def test_another_address_of_a_file_is_asked_for_each_time(
    anybody: httpx.Client, address: str
) -> None:
    answer = anybody.get(address)
    assert answer.headers["Cache-Control"] == "no-cache"
    again = anybody.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize("encoding", ["gzip", "zstd", ""])
def test_files_are_compressed_as_the_browser_takes_them(site: Scene, encoding: str) -> None:
    address = f"{site.url}{assets.address('library/annotate.js')}"
    with httpx.stream("GET", address, headers={"Accept-Encoding": encoding}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers.get("Content-Encoding", "") == encoding
    assert answer.headers["Vary"] == "Accept-Encoding"
    decoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "zstd": zstandard.ZstdDecompressor().decompress,
        "": bytes,
    }
    assert decoders[encoding](raw) == (assets.STATIC / "library/annotate.js").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "npm/package-lock.json", "npm/uplot/README.md", "../app.py", "%00", "x" * 300],
)
def test_nothing_else_is_served(anybody: httpx.Client, name: str) -> None:
    for folder in ("/static", assets.folder()):
        assert anybody.get(f"{folder}/{name}").status_code in {400, 404}


def test_packages_of_others_are_named_with_their_licences(anybody: httpx.Client) -> None:
    page = anybody.get("/notices").text
    for name in assets.SERVED:
        assert f'data-notice="{name}"' in page
    assert "Permission is hereby granted" in page
