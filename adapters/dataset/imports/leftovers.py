"""What an import keeps while it runs, images in it: gone when it has ended, however it ended."""

import shutil
import tempfile
import zlib
from pathlib import Path

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.requested import upload_key


def work_prefix(database_url: str, import_id: str) -> str:
    """How the names of an import's temporary folders begin; imports of other logs have others."""
    return f"stemma-import-{zlib.crc32(database_url.encode()):08x}-{import_id}-"


def delete_leftovers(blobs: BlobStore, database_url: str, import_id: str) -> None:
    """Delete the uploaded archive, and the temporary folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{work_prefix(database_url, import_id)}*"):
        shutil.rmtree(folder)
    blobs.delete_scratch(upload_key(import_id))
