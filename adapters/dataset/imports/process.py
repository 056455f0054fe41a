"""The process that runs one import."""

import logging

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.progress import ImportUnderWay, claimed
from adapters.dataset.imports.requested import NOT_NOW, find_requested
from adapters.dataset.imports.run import ImportContext, run_import
from adapters.observability.event_spans import TracedStore
from adapters.settings import Settings
from adapters.uploads.archives import ArchiveLimits
from adapters.uploads.image_files import ImageLimits
from application.log.store import LogUnreachable
from domain.dataset.imports import REQUESTED

log = logging.getLogger(__name__)


def carry_out(settings: Settings, import_id: str) -> int:
    """Run one import in this process. Returns the exit status."""
    url = settings.require("database_url")
    store = TracedStore(url, pool_size=2)
    blobs_url = settings.require("blobs_url")
    try:
        requested, state = find_requested(store, import_id)
        if state.status != REQUESTED:
            return 0
        context = ImportContext(
            store,
            BlobStore.from_url(blobs_url),
            blobs_url,
            ImageLimits(settings.max_upload_bytes, settings.max_image_pixels),
            ArchiveLimits(
                max_members=settings.max_import_files,
                max_total_bytes=settings.max_import_bytes,
            ),
            settings.roots(),
        )
        with claimed(url, import_id) as progress:
            run_import(context, requested, progress)
    except (ImportUnderWay, *LogUnreachable) as reason:
        log.warning("import %s cannot continue now: %s", import_id, reason)
        return NOT_NOW
    finally:
        store.close()
    return 0
