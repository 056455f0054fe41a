"""Where the checkpoints that an interrupted training resumes from lie; free of torch."""

from adapters.blobs import BlobStore


def resume_folder(version_id: str) -> str:
    return f"resume/{version_id}"


def forget_checkpoints(blobs: BlobStore, version_id: str) -> None:
    """Delete all of a version's: nobody will go on from them."""
    for name in blobs.list_scratch(resume_folder(version_id)):
        blobs.delete_scratch(name)
