"""`python -m benchmarks [NAME…] [--quick|--full] [--json FILE]`: measure, and print one table."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.machine import describe
from benchmarks.measurements import Measurement, Spent
from benchmarks.quiet import our_ticks
from benchmarks.registry import BENCHMARKS, LONG
from benchmarks.sizes import use_full_sizes
from benchmarks.table import as_json, as_markdown, for_terminal


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Tiny sizes: to see that it runs, not how fast.")
@click.option("--full", is_flag=True, help="The sizes of large systems, and long trainings too.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table here too.")
@click.option("--json", type=click.Path(path_type=Path), help="Write the figures here, as JSON.")
def main(
    names: tuple[str, ...], quick: bool, full: bool, markdown: Path | None, json: Path | None
) -> None:
    """Measure Stemma beside its alternatives; all benchmarks, unless some are named."""
    if full:
        use_full_sizes()
    logging.basicConfig(level=logging.WARNING)
    progress = Console(stderr=True)
    machine = describe()
    results: dict[str, Sequence[Measurement]] = {}
    spent: dict[str, Spent] = {}
    for name in names or [name for name in BENCHMARKS if full or name not in LONG]:
        began, ticks = time.monotonic(), our_ticks()
        with progress.status(f"measuring {name}"):
            results[name] = BENCHMARKS[name](quick)
        cpu = (our_ticks() - ticks) / os.sysconf("SC_CLK_TCK")
        spent[name] = Spent(time.monotonic() - began, cpu)
        # Printed at once, so that an interruption of the next one does not lose it.
        progress.print(for_terminal({name: results[name]}, machine))
        progress.print(f"{name}: {spent[name].seconds:.0f} s, {cpu:.0f} s of CPU")
        if markdown is not None:
            markdown.write_text(as_markdown(results, machine))
        if json is not None:
            json.write_bytes(as_json(results, machine, spent))
    Console().print(for_terminal(results, machine))


if __name__ == "__main__":
    main()
