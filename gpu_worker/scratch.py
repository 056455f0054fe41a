"""The state that an unfinished training leaves in the blob store, without torch."""

from adapters.blobs.blobs import BlobStore


def resume_folder(version_id: str) -> str:
    return f"resume/{version_id}"


def forget_checkpoints(blobs: BlobStore, version_id: str) -> None:
    """Delete all scratch files of a version, which no delivery will resume."""
    for folder in (resume_folder(version_id), _handed_back_folder(version_id)):
        blobs.delete_scratch_folder(folder)


def record_handed_back(blobs: BlobStore, version_id: str, job_key: str, delivery: int) -> None:
    """Record that a worker handed this delivery of a job back on purpose."""
    blobs.put_scratch(f"{_handed_back_folder(version_id)}/{job_key}/{delivery}", b"")


def times_handed_back(blobs: BlobStore, version_id: str, job_key: str) -> int:
    return len(blobs.list_scratch(f"{_handed_back_folder(version_id)}/{job_key}"))


def forget_handed_back(blobs: BlobStore, version_id: str, job_key: str) -> None:
    """Delete what is recorded of one job's deliveries: it is over."""
    blobs.delete_scratch_folder(f"{_handed_back_folder(version_id)}/{job_key}")


def _handed_back_folder(version_id: str) -> str:
    return f"handed-back/{version_id}"
