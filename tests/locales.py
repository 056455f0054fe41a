"""A locale whose encoding is not UTF-8, as some machines still have."""

import subprocess
from pathlib import Path

import pytest


def latin_1(folder: Path) -> dict[str, str]:
    """The variables of a process in such a locale; skips the test where none can be made."""
    name = "xx_XX.ISO-8859-1"
    make = ["localedef", "-c", "-i", "POSIX", "-f", "ISO-8859-1", str(folder / name)]
    try:
        subprocess.run(make, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("the program localedef is not installed")
    if not (folder / name).exists():
        pytest.skip("localedef cannot make a locale of ISO-8859-1 here")
    return {"LOCPATH": str(folder), "LC_ALL": name}
