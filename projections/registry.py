"""The registry of all read models."""

from projections.audit.timeline import TIMELINE
from projections.audit.trail import TRAIL
from projections.dataset.agreement import AGREEMENT
from projections.dataset.catalog import CATALOG
from projections.dataset.dataset import DATASET
from projections.dataset.erasures import ERASURES
from projections.dataset.imports import IMPORTS
from projections.dataset.snapshots import SNAPSHOTS
from projections.experiments.experiments import EXPERIMENTS
from projections.flip_book.flip_book import FLIP_BOOK
from projections.flip_book.suspects import SUSPECTS
from projections.training.evaluations import EVALUATIONS
from projections.training.metric_history import METRIC_HISTORY
from projections.training.models_library import MODELS_LIBRARY
from projections.training.suggestions import SUGGESTIONS
from projections.training.test_evaluations import TEST_EVALUATIONS
from projections.training.trainers import TRAINERS
from projections.training.version_progress import VERSION_PROGRESS

READ_MODELS = (
    CATALOG,
    DATASET,
    MODELS_LIBRARY,
    VERSION_PROGRESS,
    METRIC_HISTORY,
    EVALUATIONS,
    TEST_EVALUATIONS,
    SUGGESTIONS,
    TRAINERS,
    AGREEMENT,
    FLIP_BOOK,
    SUSPECTS,
    EXPERIMENTS,
    ERASURES,
    SNAPSHOTS,
    IMPORTS,
    TRAIL,
    TIMELINE,
)
