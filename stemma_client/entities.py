"""The base of the things that the server has: projects, views, versions and so on."""

from __future__ import annotations

import html
import uuid
from typing import TYPE_CHECKING, Any

from stemma_client._generated import answers, operations
from stemma_client.errors import StemmaError
from stemma_client.tables import Rows

if TYPE_CHECKING:
    from stemma_client.client import Stemma


class Entity:
    """A thing that has an id and a history."""

    kind = ""

    def __init__(self, client: Stemma, entity_id: str, name: str) -> None:
        self.client = client
        self.id = entity_id
        self.name = name

    @property
    def subject(self) -> str:
        """What its events are about: the kind, a hyphen and the id."""
        return f"{self.kind}-{self.id}"

    def history(self) -> Rows[answers.Line]:
        """All its events, oldest first: who, when, what and why.

        Needs the right to audit.
        """
        request = operations.list_trail(stream=self.subject, order="oldest", limit=500)
        return Rows(line for page in self.client.pages(request) for line in page.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and self.subject == other.subject

    def __hash__(self) -> int:
        return hash(self.subject)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self._facts().items())
        return f"{type(self).__name__}({self.name!r}{', ' if facts else ''}{facts})"

    def _facts(self) -> dict[str, Any]:
        """What its representation says, besides its name."""
        return {"id": self.id}

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
            for name, value in self._facts().items()
        )
        try:
            picture = self._picture()
        except StemmaError as error:  # a cell shows the rest
            picture = f"<p>{html.escape(error.explanation)}</p>"
        return f"<b>{html.escape(self.name)}</b><table>{cells}</table>{picture}"

    def _picture(self) -> str:
        """More of it, as HTML."""
        return ""


def ensuring(*what: str) -> str:
    """The idempotency key of a command that creates an entity: the same for the same entity."""
    return f"ensure:{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(what))}"
