"""`stemma cancel`, `stop` and `retry`: control of a version's training, through the API."""

import click

from cli.calls import calling


def _control(version_id: str, what: str) -> None:
    with calling() as client:
        answer = client.command(f"versions/{version_id}/{what}", None)
        view = client.query(f"versions/{version_id}", at_least=answer["position"])
    version = view["version"]
    click.echo(f"version {version['number']} ({version['name']}) is {version['status']}")


_version = click.argument("version_id", metavar="VERSION")


@click.command("cancel")
@_version
def cancel_command(version_id: str) -> None:
    """End a training at once and discard its weights. This is final."""
    _control(version_id, "cancel")


@click.command("stop")
@_version
def stop_command(version_id: str) -> None:
    """End a training after its running epoch and keep its best checkpoint."""
    _control(version_id, "stop")


@click.command("retry")
@_version
def retry_command(version_id: str) -> None:
    """Send a failed version back to the queue, to go on from its last checkpoint."""
    _control(version_id, "retry")
