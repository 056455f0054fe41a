"""Adopted versions: models that were trained before Stemma, brought with their predictions."""

import re

import msgspec

from domain.errors import Invalid
from domain.event import Event

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Adoption(msgspec.Struct, frozen=True):
    """The files that were brought, by their sha256: the weights and their size, and the scores that
    they predict for the dataset."""

    checkpoint: str
    bytes: int
    predictions: str


class VersionAdopted(Event, frozen=True, tag="version.adopted"):
    """A model that was trained elsewhere is ready: its files were brought, and the server measured
    its predictions. Its training was not witnessed."""

    checkpoint: str
    bytes: int


NOT_WITNESSED = "adopted, training not witnessed"
"""How an adopted version is marked, wherever it is shown."""


def check_adoption(adoption: Adoption) -> None:
    """Raises `Invalid` naming the field of a digest that is none."""
    for field in ("checkpoint", "predictions"):
        digest = getattr(adoption, field)
        if not _SHA256.fullmatch(digest):
            raise Invalid(f"{digest[:100]!r} is not a sha256 in hexadecimal", field=field)
