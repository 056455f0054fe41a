"""The table of measurements, for the terminal and for documentation."""

import statistics
from collections.abc import Mapping, Sequence

import msgspec
from rich.table import Table

from benchmarks.measurements import Measurement, Spent

COLUMNS = ("benchmark", "measured", "Stemma", "alternative", "ratio", "expected", "others' CPU")
LEGEND = (
    "Medians of repetitions, with their least and greatest; a ratio is the median over repetitions"
    " of Stemma / alternative, which took turns. Others' CPU is what unrelated processes took of"
    " the machine meanwhile: above a few percent, measure again."
)

Results = Mapping[str, Sequence[Measurement]]


def for_terminal(results: Results, machine: str) -> Table:
    table = Table(title="Stemma benchmarks", caption=f"{machine}\n{LEGEND}", caption_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for name, measurements in results.items():
        for measurement in measurements:
            style = "red" if measurement.met is False else None
            table.add_row(*_cells(name, measurement), style=style)
        table.add_section()
    return table


def as_markdown(results: Results, machine: str) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [
        _cells(name, measurement)
        for name, measurements in results.items()
        for measurement in measurements
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *machine.splitlines(), "", LEGEND, ""])


def as_json(results: Results, machine: str, spent: Mapping[str, Spent]) -> bytes:
    """All figures, with what is reckoned from them, and what each benchmark took."""
    rows = [
        msgspec.structs.asdict(measurement)
        | {"benchmark": name, "ratio": measurement.ratio, "met": measurement.met}
        for name, measurements in results.items()
        for measurement in measurements
    ]
    document = {"machine": machine.splitlines(), "measurements": rows, "spent": spent}
    encoded = msgspec.json.encode(document)
    return msgspec.json.format(encoded) + b"\n"


def _cells(name: str, measurement: Measurement) -> tuple[str, ...]:
    alternative = ""
    if measurement.theirs:
        alternative = f"{_spread(measurement.theirs, measurement.unit)}: {measurement.alternative}"
    ratio = measurement.ratio
    return (
        name,
        measurement.what,
        _spread(measurement.ours, measurement.unit),
        alternative,
        "" if ratio is None else f"{ratio:.2f}x",
        _expected(measurement),
        f"{measurement.others:.0%}",
    )


def _spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_number(statistics.median(values))} {unit}".strip()
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    """A number with three significant digits, or more if it is larger."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _expected(measurement: Measurement) -> str:
    if measurement.expected is None:
        return ""
    sign = "≥" if measurement.expected.at_least else "≤"
    of_ratio = measurement.theirs and not measurement.expected.absolute
    unit = "x" if of_ratio else f" {measurement.unit}".rstrip()
    return f"{sign} {measurement.expected.bound:g}{unit}: {'met' if measurement.met else 'missed'}"
