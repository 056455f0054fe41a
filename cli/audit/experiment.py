"""`stemma audit experiment`: derive every choice of an experiment again from the log."""

import sys
from contextlib import closing

import click

from adapters.experiments.sampler import OptunaSampler
from adapters.settings import load_settings
from application.experiments.derivation import DIFFERENT, EQUAL, NOT_COMPARABLE, derive
from application.log.store import Store
from cli.reading import reading
from domain.errors import NotFound
from domain.text import escaped


@click.command("experiment")
@click.argument("experiment_id")
def experiment_command(experiment_id: str) -> None:
    """Derive each proposal, pruning and the best of an experiment again, and compare.

    A proposal follows from the experiment's seed, the trial's number, the log up to the recorded
    position, and the versions of Optuna and NumPy; with other versions it is not comparable.
    Prunings are always comparable. The exit status is 1 if a choice differs, 2 if the log could not
    be read.
    """
    counts = {EQUAL: 0, DIFFERENT: 0, NOT_COMPARABLE: 0}
    url = load_settings().require("database_url")
    with reading(url), closing(Store(url, pool_size=1)) as store:
        try:
            for check in derive(store, OptunaSampler(), experiment_id):
                counts[check.result] += 1
                if check.result != EQUAL:
                    at = f" at position {check.position}" if check.position else ""
                    click.echo(escaped(f"{check.what}{at}: {check.result}; {check.detail}"))
        except NotFound as missing:
            raise click.BadParameter(missing.detail, param_hint="EXPERIMENT_ID") from missing
    total = sum(counts.values())
    click.echo(
        f"{total} choices derived again: {counts[EQUAL]} equal, {counts[DIFFERENT]} different,"
        f" {counts[NOT_COMPARABLE]} not comparable"
    )
    if counts[DIFFERENT]:
        sys.exit(1)
