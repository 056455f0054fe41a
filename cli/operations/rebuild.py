"""`stemma rebuild`: rebuild read models from the log, then replace the live ones."""

import click

from adapters.postgres.builders import rebuild_all
from adapters.settings import load_settings
from cli.operations.building import chosen, watched


@click.command("rebuild")
@click.argument("names", nargs=-1)
def rebuild_command(names: tuple[str, ...]) -> None:
    """Rebuild read models from the log: all, or those named.

    The live read models keep serving, and are replaced at the end. Ctrl-C cancels.
    """
    read_models = chosen(names)
    url = load_settings().require("database_url")
    with watched() as watch:
        reached = rebuild_all(url, read_models, watch)
    for read_model, position in zip(read_models, reached, strict=True):
        click.echo(f"{read_model.name}: rebuilt up to position {position}")
