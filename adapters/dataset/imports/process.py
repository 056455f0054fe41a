"""The process that runs one import."""

import logging
import os
from concurrent.futures.process import BrokenProcessPool

from adapters.blobs.blobs import BlobStore
from adapters.dataset.imports.progress import ImportUnderWay, claimed
from adapters.dataset.imports.requested import DISK_FULL, NOT_NOW, find_requested
from adapters.dataset.imports.run import ImportContext, run_import
from adapters.observability.event_spans import TracedStore
from adapters.observability.masking import masked
from adapters.settings import Settings
from adapters.shortage import is_disk_full, is_of_database, shortage
from adapters.uploads.archives import ArchiveLimits
from adapters.uploads.image_files import ImageLimits
from application.log.store import LogUnreachable
from domain.dataset.imports import REQUESTED

LONGEST_REASON = 500
NICE = 5

log = logging.getLogger(__name__)


def carry_out(settings: Settings, import_id: str) -> int:
    """Run one import in this process. Returns the exit status; prints why the import broke off.

    It leaves the processor to others that need it, with the processes that it starts.
    """
    os.nice(NICE)
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
    except Exception as error:
        if is_of_database(error):
            log.warning("import %s cannot continue now: %s", import_id, shortage(error))
            return NOT_NOW
        log.exception("import %s was interrupted", import_id)
        why = shortage(error) or masked(f"{type(error).__name__}: {error}")
        if isinstance(error, BrokenProcessPool | MemoryError):
            why += "; a very large image may have used all memory"
        print(" ".join(why.split())[:LONGEST_REASON], flush=True)
        return DISK_FULL if is_disk_full(error) else 1
    finally:
        store.close()
    return 0
