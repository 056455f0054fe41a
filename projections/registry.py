"""All read models there are."""

from projections.catalog import CATALOG
from projections.dataset import DATASET
from projections.erasures import ERASURES
from projections.evaluations import EVALUATIONS
from projections.imports import IMPORTS
from projections.metric_history import METRIC_HISTORY
from projections.models_library import MODELS_LIBRARY
from projections.timeline import TIMELINE
from projections.trail import TRAIL
from projections.version_progress import VERSION_PROGRESS

READ_MODELS = (
    CATALOG,
    DATASET,
    MODELS_LIBRARY,
    VERSION_PROGRESS,
    METRIC_HISTORY,
    EVALUATIONS,
    ERASURES,
    IMPORTS,
    TRAIL,
    TIMELINE,
)
