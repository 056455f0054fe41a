"""The read model of evaluations: figures, the predictions' digest, thresholds as last set."""

import msgspec
from sqlalchemy import Engine

from domain.training.messages import SplitFigures
from domain.training.version import ThresholdSet, VersionEvaluated
from projections.training.evaluations import (
    EVALUATIONS,
    EvaluationRow,
    find_evaluation,
    find_evaluations,
)
from tests.domain.training.version_samples import CREATED
from tests.projections.engine.rebuilding import compare
from tests.projections.made_log import MadeLog, at

VALIDATION = SplitFigures(images=2, loss=0.5, mean_average_precision=0.75, map_50=0.9)
TRAIN = SplitFigures(images=8, loss=0.25)
EVALUATED = VersionEvaluated("sha", VALIDATION, TRAIN, "parquet")


def test_an_evaluation_is_kept_with_its_thresholds(engine: Engine) -> None:
    log = MadeLog()
    log.add("version-x", CREATED, EVALUATED)
    log.add("version-y", CREATED, VersionEvaluated("sha2", VALIDATION, None, None))
    log.add("version-z", CREATED)
    log.add("version-x", ThresholdSet("c1", 0.25), ThresholdSet("c2", 0.5), ThresholdSet("c1", 0.0))
    log.follow(engine, [EVALUATIONS])
    with engine.connect() as connection:
        found = find_evaluations(connection, ["x", "y", "z"])
        assert find_evaluation(connection, "z") is None
    assert found == {
        "x": EvaluationRow(
            "x", "sha", "parquet", VALIDATION, TRAIN, at(2), 2, {"c1": 0.0, "c2": 0.5}
        ),
        "y": EvaluationRow("y", "sha2", None, VALIDATION, None, at(4), 4, {}),
    }
    assert compare(engine, log, EVALUATIONS) == []


def test_a_later_evaluation_replaces_an_earlier_one(engine: Engine) -> None:
    log = MadeLog()
    log.add("version-x", CREATED, EVALUATED, msgspec.structs.replace(EVALUATED, checkpoint="new"))
    log.follow(engine, [EVALUATIONS])
    with engine.connect() as connection:
        row = find_evaluation(connection, "x")
    assert row is not None
    assert (row.checkpoint, row.position) == ("new", 3)
