"""Static files of pages: compressed, and at addresses that contain a digest of all of them.

Because the digest is in the folder's name, relative imports of modules stay within it, and browsers
keep what they have until any file changes. Third-party files are those of npm that set-up fetches.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from threading import Lock

import msgspec
import zstandard

STATIC = Path(__file__).parents[1] / "static"
PACKAGES = STATIC / "npm" / "node_modules"
SERVED = {
    "uplot": ("dist/uPlot.iife.min.js", "dist/uPlot.min.css"),
    "plotly.js-basic-dist-min": ("plotly-basic.min.js",),
}
"""What is served of each npm package, as `npm/PACKAGE/PATH`."""
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
LICENCE = "LICENSE"


class Asset(msgspec.Struct, frozen=True):
    """A file; `encoded` are its contents by `Content-Encoding`, of which "" is the file itself."""

    media_type: str
    etag: str
    encoded: dict[str, bytes]


class Notice(msgspec.Struct, frozen=True):
    """A package of others whose files are served to browsers, and its licence's text."""

    name: str
    version: str
    licence: str
    text: str


def paths() -> dict[str, Path]:
    """The served files, by name below the static folder."""
    own = {
        path.relative_to(STATIC).as_posix(): path
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in TYPES and not path.is_relative_to(STATIC / "npm")
    }
    for package, files in SERVED.items():
        for file in files:
            if (path := PACKAGES / package / file).exists():
                own[f"npm/{package}/{file}"] = path
    return own


@cache
def folder() -> str:
    """The address of the static folder; it differs whenever one of its files does."""
    content = hashlib.sha256()
    for name, path in paths().items():
        content.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return f"/static/v.{content.hexdigest()[:16]}"


def address(name: str) -> str:
    """The address of a file that browsers may keep."""
    return f"{folder()}/{name}"


_compressing = Lock()


def asset(name: str) -> Asset | None:
    """A file by its name below the static folder, None if none is served by that name."""
    path = _paths().get(name)
    if path is None:
        return None
    with _compressing:
        return _asset(path)


@cache
def _paths() -> dict[str, Path]:
    return paths()


@cache
def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    encoded = {
        "zstd": zstandard.ZstdCompressor(15).compress(content),
        "gzip": gzip.compress(content, 9, mtime=0),
        "": content,
    }
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return Asset(TYPES[path.suffix], etag, encoded)


def notices() -> list[Notice]:
    """The packages of others that are installed, in the order of their names."""
    found = []
    for package in sorted(SERVED):
        place = PACKAGES / package
        if not place.exists():
            continue
        manifest = msgspec.json.decode((place / "package.json").read_bytes())
        text = (place / LICENCE).read_text(encoding="utf-8")
        found.append(Notice(package, manifest["version"], manifest["license"], text))
    return found
