"""`stemma audit`: replay history, see past states, and prove that nothing was altered."""

import click

from cli.later import LaterGroup


@click.group(
    cls=LaterGroup,
    commands_later={
        "as-of": "cli.as_of:as_of_command",
    },
)
def audit() -> None:
    """Replay history, see past states, and prove that nothing was altered."""
