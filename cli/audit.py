"""`stemma audit`: replay history, see past states, and prove that nothing was altered."""

import click

from cli.later import LaterGroup

LATER = {
    "replay": "cli.replay:replay_command",
    "rotate-key": "cli.verify:rotate_key_command",
    "trail": "cli.trail:trail_command",
    "verify": "cli.verify:verify_command",
}


@click.group(cls=LaterGroup, commands_later=LATER)
def audit() -> None:
    """Replay history, see past states, and prove that nothing was altered."""
