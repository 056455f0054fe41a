"""The figures as a table: for the terminal, and for a page of documentation."""

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.figures import Figure

COLUMNS = ("benchmark", "measured", "Stemma", "alternative", "ratio", "expected", "others' CPU")
LEGEND = (
    "Medians of repetitions, with their least and greatest; a ratio is the median over repetitions"
    " of Stemma / alternative, which took turns. Others' CPU is what unrelated processes took of"
    " the machine meanwhile: above a few percent, measure again."
)

Found = Mapping[str, Sequence[Figure]]


def for_terminal(found: Found, machine: str) -> Table:
    table = Table(title="Stemma benchmarks", caption=f"{machine}\n{LEGEND}", caption_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for name, figures in found.items():
        for figure in figures:
            style = "red" if figure.met is False else None
            table.add_row(*_cells(name, figure), style=style)
        table.add_section()
    return table


def as_markdown(found: Found, machine: str) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [_cells(name, figure) for name, figures in found.items() for figure in figures]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *machine.splitlines(), "", LEGEND, ""])


def _cells(name: str, figure: Figure) -> tuple[str, ...]:
    alternative = ""
    if figure.theirs:
        alternative = f"{_spread(figure.theirs, figure.unit)}: {figure.alternative}"
    ratio = figure.ratio
    return (
        name,
        figure.what,
        _spread(figure.ours, figure.unit),
        alternative,
        "" if ratio is None else f"{ratio:.2f}x",
        _expected(figure),
        f"{figure.others:.0%}",
    )


def _spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_number(statistics.median(values))} {unit}".strip()
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    """Three significant digits, and none cut off a larger number."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _expected(figure: Figure) -> str:
    if figure.expected is None:
        return ""
    sign = "≥" if figure.expected.at_least else "≤"
    unit = "x" if figure.theirs else f" {figure.unit}".rstrip()
    return f"{sign} {figure.expected.bound:g}{unit}: {'met' if figure.met else 'missed'}"
