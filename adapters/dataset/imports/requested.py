"""An import as the log has it: what was asked for, by whom, and whether it has ended."""

import msgspec

from application.handle import Request
from application.log.store import Store
from domain.aggregates import IMPORT
from domain.dataset import imports
from domain.dataset.imports import Import, ImportRequested

NOT_NOW = 75
"""Exit status (EX_TEMPFAIL of sysexits.h) of a process that could not begin: try again later."""


class RequestedImport(msgspec.Struct, frozen=True):
    """An import as it was asked for, and by whom: what it records is recorded in their name."""

    import_id: str
    event: ImportRequested
    actor: str
    correlation_id: str
    causation_id: str

    def request(self, step: str) -> Request:
        """Each step is a command of its own, so that an import that is repeated goes on."""
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
    known = imports.existing(IMPORT.fold(recorded.event for recorded in events))
    metadata = events[0].metadata
    asked = RequestedImport(
        import_id,
        known.requested,
        metadata.actor,
        metadata.correlation_id,
        metadata.event_id,
    )
    return asked, known


def upload_key(import_id: str) -> str:
    """The scratch entry of the blob store that an uploaded archive waits in."""
    return f"imports/{import_id}"
