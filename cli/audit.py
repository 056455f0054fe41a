"""`stemma audit`: replay history, see past states, and prove that nothing was altered."""

import click

from cli.later import LaterGroup

LATER = {
    "as-of": "cli.as_of:as_of_command",
    "export": "cli.audit_bundle:export_command",
    "refusals": "cli.refusals:refusals_command",
    "replay": "cli.replay:replay_command",
    "rotate-key": "cli.verify:rotate_key_command",
    "trail": "cli.trail:trail_command",
    "verify": "cli.verify:verify_command",
    "verify-bundle": "cli.audit_bundle:verify_bundle_command",
}


@click.group(cls=LaterGroup, commands_later=LATER)
def audit() -> None:
    """Replay history, see past states, and prove that nothing was altered."""
