"""`stemma rebuild`: read models from nothing, in place of the live ones or to compare with them."""

from collections.abc import Sequence

import click

from adapters.postgres import engine_for
from adapters.settings import load_settings
from application.store import Store
from projections.read_model import ReadModel
from projections.rebuild import Difference, compare, rebuild
from projections.registry import READ_MODELS

SHOWN_ROWS = 5


def rebuild_read_models(names: Sequence[str], *, check: bool) -> bool:
    """Rebuild or compare those named, or all; whether there was nothing to complain of."""
    url = load_settings().require("database_url")
    engine, store = engine_for(url), Store(url)
    try:
        results = [_one(engine, store, model, check) for model in _chosen(names)]
    finally:
        store.close()
        engine.dispose()
    return all(results)


def _one(engine: object, store: Store, model: ReadModel, check: bool) -> bool:
    if not check:
        position = rebuild(engine, store, model)  # type: ignore[arg-type]
        click.echo(f"{model.name}: rebuilt up to position {position}")
        return True
    differences = compare(engine, store, model)  # type: ignore[arg-type]
    if not differences:
        click.echo(f"{model.name}: equal to a rebuild, row by row")
    for difference in differences:
        _show(difference)
    return not differences


def _show(difference: Difference) -> None:
    click.echo(f"{difference.table} differs from a rebuild:")
    for sign, rows in (("-", difference.only_live), ("+", difference.only_rebuilt)):
        for row in rows[:SHOWN_ROWS]:
            click.echo(f"  {sign} {row}")
        if len(rows) > SHOWN_ROWS:
            click.echo(f"  {sign} and {len(rows) - SHOWN_ROWS} more rows")


def _chosen(names: Sequence[str]) -> list[ReadModel]:
    known = {model.name: model for model in READ_MODELS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    return [known[name] for name in names] or list(READ_MODELS)
