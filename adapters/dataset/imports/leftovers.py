"""Temporary files of an import, which include images: deleted when it has ended in any way."""

import shutil
import tempfile
import zlib
from pathlib import Path

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.requested import upload_key


def work_prefix(database_url: str, import_id: str) -> str:
    """The prefix of an import's temporary folders, which differs between logs."""
    return f"stemma-import-{zlib.crc32(database_url.encode()):08x}-{import_id}-"


def staged_as(database_url: str, import_id: str) -> str:
    """The name of the place in the blob store where an import stages files."""
    return f"import-{zlib.crc32(database_url.encode()):08x}-{import_id}"


def delete_leftovers(blobs: BlobStore, database_url: str, import_id: str) -> None:
    """Delete the uploaded archive, what was staged, and temporary folders of killed processes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{work_prefix(database_url, import_id)}*"):
        shutil.rmtree(folder)
    staging = blobs.staging(staged_as(database_url, import_id))
    if staging is not None:
        staging.delete()
    blobs.delete_scratch(upload_key(import_id))
