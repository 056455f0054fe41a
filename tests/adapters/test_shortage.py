"""Each error names its own cause: what this machine is short of is no fault of a file."""

import errno
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from psycopg.errors import DiskFull

from adapters.images.file_format import READABLE
from adapters.shortage import is_disk_full, is_of_database, shortage
from tests.adapters.dataset.importing import png, write_files


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "no room", "/data/x"), "the disk is full"),
        (OSError(errno.EMFILE, "too many"), "no file descriptors left"),
        (DiskFull("could not extend file"), "the database's disk is full"),
        (OSError(errno.EACCES, "not yours"), None),
        (ValueError("wrong"), None),
    ],
)
def test_what_is_short_is_named(error: Exception, said: str | None) -> None:
    try:
        raise RuntimeError("the request failed") from error
    except RuntimeError as wrapped:
        for seen in (error, wrapped):
            found = shortage(seen)
            assert (found is None) == (said is None)
            assert said is None or said in str(found)
    assert is_disk_full(error) == (said == "the disk is full")
    assert is_of_database(error) == isinstance(error, DiskFull)


FILES = """
import io, sys
from PIL import Image

files = {}
for name in sys.argv[1:]:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 0, 0)).save(file, name)
    files[name] = file.getvalue()
print("\\n".join(f"{name} {files[name].hex()}" for name in files))
"""

WITHOUT_DESCRIPTORS = """
import resource, sys
from contextlib import suppress
from adapters.images.decoding import inspect
from adapters.shortage import shortage

files = [line.split() for line in sys.stdin]
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
with suppress(OSError):
    while True:
        taken.append(open("/dev/null", "rb"))
for name, content in files:
    try:
        assert inspect(bytes.fromhex(content), 1000)[:2] == (8, 8), name
    except OSError as error:
        assert shortage(error), name
"""


def test_no_image_counts_as_damaged_for_want_of_a_file_descriptor() -> None:
    """A decoder that is loaded only then cannot be, and Pillow then takes it for not installed."""
    made = run(FILES, *READABLE)
    run(WITHOUT_DESCRIPTORS, stdin=made)


WITHOUT_DESCRIPTORS_FOR_FILES = """
import resource, sys
from contextlib import suppress
from pathlib import Path
from adapters.formats.image_names import image_size, is_image_by_content
from adapters.shortage import shortage
from adapters.uploads.archives import ArchiveLimits, unpack

folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
with suppress(OSError):
    while True:
        taken.append(open("/dev/null", "rb"))
for use in (
    lambda: image_size(folder, "image.png"),
    lambda: is_image_by_content(folder / "image.png"),
    lambda: unpack(folder / "archive.zip", folder / "unpacked", ArchiveLimits()),
):
    try:
        use()
    except OSError as error:
        assert shortage(error), repr(error)
    else:
        raise AssertionError("a file was opened without a descriptor")
"""


def test_a_file_that_cannot_be_opened_for_now_is_not_blamed(tmp_path: Path) -> None:
    write_files(tmp_path, {"image.png": png(1)})
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / "image.png", "image.png")
    run(WITHOUT_DESCRIPTORS_FOR_FILES, str(tmp_path))


def run(program: str, *arguments: str, stdin: str = "") -> str:
    argv = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
