"""Files of images, written to a folder."""

from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

from cli.client import ApiClient, ApiProblem

NOT_THERE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


def download_images(
    client: ApiClient, image_ids: Iterable[str], folder: Path
) -> list[tuple[str, str]]:
    """Write the file of each image under its id; the images that are not there, and why.

    Files that are there already are kept, so an interrupted download goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for image_id in image_ids:
        target = folder / image_id
        if target.exists():
            continue
        try:
            client.download(f"images/{image_id}/content", target, {})
        except ApiProblem as problem:
            if problem.status not in NOT_THERE:
                raise
            missing.append((image_id, str(problem)))
    return missing
