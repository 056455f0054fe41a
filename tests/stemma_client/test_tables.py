"""Rows are tables: in a terminal, in a notebook, in pandas and Arrow."""

import pyarrow

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


def test_a_frame_of_polars_has_all_values_whatever_comes_first() -> None:
    boxes = [[], [{"at": None}], [{"at": {"x": 1.0}, "by": "ada"}]]
    columns = {
        "metadata": [{"camera": "north"}] * 200 + [{"lens": "wide"}, {}],
        "boxes": boxes + [None] * 199,
        "number": [1] * 201 + [1.5],
        "text": [None] * 201 + ["late"],
        "default": [0.1, "adam", True, None] + [1] * 198,
        "nothing": [None] * 202,
    }
    frame = Table(columns).to_polars()
    rows = frame.to_dicts()
    assert rows[-2]["metadata"] == {"camera": None, "lens": "wide"}
    assert rows[-1]["metadata"] == {"camera": None, "lens": None}
    assert rows[1]["boxes"] == [{"at": None, "by": None}]
    assert rows[2]["boxes"] == [{"at": {"x": 1.0}, "by": "ada"}]
    assert (rows[-1]["number"], rows[-1]["text"]) == (1.5, "late")
    assert frame["default"].to_list() == columns["default"]
    assert Table({}).to_polars().is_empty()
    assert ROWS.to_polars()["box.width"].to_list() == [0.3, 0.3]


def test_maps_of_arrow_are_the_same_in_polars() -> None:
    metadata = [{"camera": "north"}, {"lens": "wide"}, {}]
    pairs = pyarrow.array([list(one.items()) for one in metadata], pyarrow.map_("string", "string"))
    table = pyarrow.table({"name": pyarrow.array("aab").dictionary_encode(), "metadata": pairs})
    frame = Table(table).to_polars()
    assert frame.columns == ["name", "metadata"]
    plain = Table({"name": ["a", "a", "b"], "metadata": metadata})
    assert frame.equals(plain.to_polars())
    assert Table(table.slice(0, 0)).to_polars().is_empty()


def test_rows_of_several_types_are_one_table() -> None:
    first = answers.VersionRow(version_id="1", options=answers.TrainingOptions(epochs=3))
    second = answers.VersionRow(version_id="2", reason="lost")
    odd = answers.Annotation(concept_id="c")
    columns = Rows([first, second, odd]).table.columns
    assert columns["version_id"] == ["1", "2", None]
    assert columns["options.epochs"] == [3, None, None]
    assert columns["concept_id"] == [None, None, "c"]
    assert Rows([]).table.columns == {}


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
