"""Texts in a CSV file are no formulas, and control no terminal."""

from adapters.evaluation.csv_rows import csv_pieces


def test_what_old_events_hold_is_escaped() -> None:
    rows = [["a\nb", "\x1b[2J", "\u202ecat"], ["=1+1", "\t=1", 'plain, "quoted"']]
    written = b"".join(csv_pieces(["one", "two", "three"], [list(row) for row in rows])).decode()
    assert written.splitlines() == [
        "one,two,three",
        "a\\nb,\\x1b[2J,\\u202ecat",
        '\'=1+1,\'\\t=1,"plain, ""quoted"""',
    ]
