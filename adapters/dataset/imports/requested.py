"""A requested import as recorded in the log: the request, its actor and the import's state."""

import msgspec

from application.handle import Request
from application.log.store import Store
from domain.aggregates import IMPORT
from domain.dataset import imports
from domain.dataset.imports import Import, ImportRequested

NOT_NOW, DISK_FULL = 75, 74
"""Exit statuses of an import's process, EX_TEMPFAIL and EX_IOERR of sysexits.h: the import could
not start; it found no room on the disk."""


class RequestedImport(msgspec.Struct, frozen=True):
    """A requested import. The events that it records have the actor of the request."""

    import_id: str
    event: ImportRequested
    actor: str
    correlation_id: str
    causation_id: str

    def request(self, step: str) -> Request:
        """The request for one step: each step is a command, so a restarted import continues."""
        return Request(
            actor=self.actor,
            command_id=f"import:{self.import_id}:{step}",
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
        )


def find_requested(store: Store, import_id: str) -> tuple[RequestedImport, Import]:
    """The import and its state. Raises `NotFound`."""
    stream = IMPORT.stream(import_id)
    events = store.streams([stream])[stream]
    current = imports.require(IMPORT.fold(recorded.event for recorded in events))
    metadata = events[0].metadata
    requested = RequestedImport(
        import_id,
        current.requested,
        metadata.actor,
        metadata.correlation_id,
        metadata.event_id,
    )
    return requested, current


def upload_key(import_id: str) -> str:
    """The key of an uploaded archive's scratch entry in the blob store."""
    return f"imports/{import_id}"
