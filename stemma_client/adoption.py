"""Models that were trained before Stemma, brought with their predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stemma_client._generated import answers, operations
from stemma_client.errors import StemmaError
from stemma_client.manifests import ManifestLine
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma

_PIECE = 1 << 20


def dataset_of(client: Stemma, view_id: str) -> Rows[ManifestLine]:
    """See `View.dataset`."""
    content = client.send(operations.get_view_dataset(view_id))
    return Rows(msgspec.json.decode(line, type=ManifestLine) for line in content.splitlines())


def adopt(
    client: Stemma,
    view_id: str,
    weights: str | Path,
    predictions: str | Path,
    trainer: str,
    name: str | None,
    settings: Mapping[str, Any],
    key: str | None,
) -> str:
    """See `View.adopt`; the id of the version."""
    body = answers.NewAdoption(
        trainer=trainer,
        checkpoint=_upload(client, view_id, Path(weights)),
        predictions=_upload(client, view_id, Path(predictions)),
        name=name,
        settings=dict(settings),
    )
    return client.send(operations.create_adopted_version(view_id, body), key=key).id


def _upload(client: Stemma, view_id: str, path: Path) -> str:
    if not path.is_file():
        raise StemmaError(f"{path} not found: name a file")

    def pieces() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    request = operations.upload_adopted_file(view_id)
    return client.transport.send(request, body=pieces).digest
