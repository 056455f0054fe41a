"""Galleries of images of the server, for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from stemma_client import notebook
from stemma_client._generated import operations
from stemma_client.errors import ApiError

if TYPE_CHECKING:
    from stemma_client.client import Stemma

MOST = 5


def gallery_of(client: Stemma, images: Iterable[tuple[str, str]]) -> str:
    """The first images, given as captions and ids; one that is erased has its error instead."""
    return "".join(_picture(client, caption, one) for caption, one in islice(images, MOST))


def _picture(client: Stemma, caption: str, image_id: str) -> str:
    try:
        picture = client.send(operations.get_thumbnail(image_id))
    except ApiError as error:
        return f"<p>{html.escape(f'{caption}: {error.detail}')}</p>"
    return notebook.gallery([(caption, picture)])
