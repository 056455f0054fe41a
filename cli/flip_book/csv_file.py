"""A file of CSV from the API, on the standard output."""

import shutil
import sys
import tempfile
from pathlib import Path

from cli.client import ApiClient


def print_csv(client: ApiClient, path: str, parameters: dict[str, int]) -> None:
    """Write it once all has come: a part of a file would look like a whole one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "items.csv")
        client.download(path, file, parameters)
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
