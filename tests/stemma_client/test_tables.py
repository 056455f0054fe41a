"""Rows are tables: in a terminal, in a notebook, in pandas and Arrow."""

from stemma_client import answers
from stemma_client.metrics import Metrics
from stemma_client.tables import Rows, Table

BOX = answers.Box(x=0.1, y=0.2, width=0.3, height=0.4)
ROWS = Rows(
    [
        answers.PredictedBoxView(box=BOX, concept_id="<b>", score=0.123456),
        answers.PredictedBoxView(box=BOX, concept_id="dog", score=0.5),
    ]
)


def test_inner_fields_are_columns() -> None:
    frame = ROWS.to_pandas()
    assert {"box.x", "box.height", "concept_id", "score"} <= set(frame.columns)
    assert ROWS.to_arrow().column("box.width").to_pylist() == [0.3, 0.3]
    assert ROWS[0].concept_id == "<b>"
    assert [row.concept_id for row in ROWS[1:]] == ["dog"]


def test_a_table_shows_its_first_rows() -> None:
    table = Table({"number": list(range(25)), "name": ["x"] * 25})
    lines = repr(table).splitlines()
    assert lines[0].split() == ["number", "name"]
    assert lines[-1] == "… and 5 more rows"
    assert repr(Table({})) == ""
    assert "&lt;b&gt;" in ROWS._repr_html_()
    assert "<b>" not in ROWS._repr_html_()


def test_values_are_thinned_only_where_that_is_asked_for() -> None:
    series = answers.SeriesOfVersion(
        version_id="v", metric="loss", iterations=list(range(1000)), values=[0.5] * 1000
    )
    metrics = Metrics([series], {"v": "first"})
    assert len(metrics) == 1000
    thinned = metrics.thinned(10)
    assert len(thinned) == 10
    assert thinned.columns["iteration"][-1] == 999
    assert thinned.columns["name"] == ["first"] * 10
    assert metrics._repr_html_().count("<polyline") == 1
