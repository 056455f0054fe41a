"""`stemma audit`: replay history, see past states, and prove that nothing was altered."""

import click

from cli.later import LaterGroup


@click.group(cls=LaterGroup, commands_later={"replay": "cli.replay:replay_command"})
def audit() -> None:
    """Replay history, see past states, and prove that nothing was altered."""
