"""The Python package as a wheel, made of what is installed here: `make wheel` writes it to dist/.

The layout is that of PEP 427; the metadata is that of `stemma_client/pyproject.toml`.
"""

import base64
import hashlib
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "stemma_client"
WHEEL = "Wheel-Version: 1.0\nGenerator: stemma\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
TIME = (1980, 1, 1, 0, 0, 0)
"""Of all files in the archive, so that the same sources make the same wheel."""


class Wheel(NamedTuple):
    """A wheel's file name and content."""

    name: str
    content: bytes


@cache
def client_wheel() -> Wheel:
    """The wheel of `stemma_client`."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    files = dict(_modules())
    info = f"{stem}.dist-info"
    files[f"{info}/METADATA"] = _metadata(project).encode()
    files[f"{info}/WHEEL"] = WHEEL.encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.external_attr = 0o644 << 16
            opened.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return Wheel(f"{stem}-py3-none-any.whl", archive.getvalue())


def _modules() -> Iterator[tuple[str, bytes]]:
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix == ".py" or path.name == "py.typed":
            yield f"{FOLDER.name}/{path.relative_to(FOLDER).as_posix()}", path.read_bytes()


def _metadata(project: Mapping[str, Any]) -> str:
    extras = project["optional-dependencies"]
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"Requires-Python: {project['requires-python']}",
        *(f"Requires-Dist: {one}" for one in project["dependencies"]),
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(
            f'Requires-Dist: {one}; extra == "{extra}"'
            for extra, several in extras.items()
            for one in several
        ),
    ]
    return "\n".join([*lines, ""])


def _record(files: Mapping[str, bytes], own: str) -> str:
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{own},,", ""])


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    wheel = client_wheel()
    (target / wheel.name).write_bytes(wheel.content)
    print(target / wheel.name)
