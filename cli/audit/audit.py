"""`stemma audit`: replay history, see past states, and prove that nothing was altered."""

import click

from cli.later import LaterGroup

LATER = {
    "as-of": "cli.audit.as_of:as_of_command",
    "experiment": "cli.audit.experiment:experiment_command",
    "export": "cli.audit.bundle:export_command",
    "refusals": "cli.audit.refusals:refusals_command",
    "replay": "cli.audit.replay:replay_command",
    "rotate-key": "cli.audit.verify:rotate_key_command",
    "trail": "cli.audit.trail:trail_command",
    "verify": "cli.audit.verify:verify_command",
    "verify-bundle": "cli.audit.bundle:verify_bundle_command",
}


@click.group(cls=LaterGroup, commands_later=LATER)
def audit() -> None:
    """Replay history, see past states, and prove that nothing was altered."""
