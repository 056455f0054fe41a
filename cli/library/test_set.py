"""`stemma versions test` and `tests`: evaluations of a version on the test set, by the API."""

import sys
import time
from typing import Any

import click

from cli.calls import calling, find_version
from cli.client import ApiClient
from cli.output import json_option, print_json
from domain.formatting import moment_of

LOOK_SECONDS = 0.5

_METRICS = {
    "accuracy": "accuracy",
    "mean_average_precision": "mAP",
    "map_50": "mAP at IoU .50",
    "map_75": "mAP at IoU .75",
    "calibration_error": "calibration error",
    "loss": "loss",
}


@click.command("test")
@click.argument("version")
@click.option(
    "--reason", required=True, help="The reason for opening the test set; it stays in the log."
)
@click.option(
    "--follow",
    is_flag=True,
    help="Wait for the result; exit with 0 only if the evaluation succeeds.",
)
def order_command(version: str, reason: str, follow: bool) -> None:
    """Evaluate VERSION, a ready version, on its project's test set.

    The log records who requested it, why, and how often the test set was evaluated before.
    """
    with calling() as client:
        path = f"versions/{find_version(client, version)}/test-evaluations"
        position = client.command(path, {"reason": reason})["position"]
        evaluation = client.query(path, at_least=position)["items"][0]
        click.echo(
            f"evaluation {evaluation['number']} of this version on {evaluation['images']:,} test"
            f" images; earlier evaluations in this view: {evaluation['earlier_of_view']}"
        )
        if follow:
            sys.exit(_follow(client, path, evaluation["number"]))


@click.command("tests")
@click.argument("version")
@json_option
def list_command(version: str, as_json: bool) -> None:
    """List the evaluations of VERSION on the test set, newest first."""
    with calling(exact=as_json) as client:
        view = client.query(f"versions/{find_version(client, version)}/test-evaluations")
    if as_json:
        print_json(view)
        return
    for evaluation in view["items"]:
        click.echo(
            f"{evaluation['number']}: {_outcome(evaluation)}; requested by"
            f" {evaluation['requested_by']} at {moment_of(evaluation['requested_at'])}:"
            f" {evaluation['reason']}; earlier in this view: {evaluation['earlier_of_view']}"
        )
    click.echo(f"evaluations on the test set in this view: {view['evaluations_of_view']}")


def _follow(client: ApiClient, path: str, number: int) -> int:
    while True:
        items = client.query(path)["items"]
        evaluation = next(item for item in items if item["number"] == number)
        if evaluation["status"] in ("done", "failed"):
            click.echo(_outcome(evaluation))
            return 0 if evaluation["status"] == "done" else 1
        time.sleep(LOOK_SECONDS)


def _outcome(evaluation: dict[str, Any]) -> str:
    """The status, with metrics or the reason of a failure."""
    if evaluation["failure"] is not None:
        return f"failed: {evaluation['failure']}"
    metrics = evaluation["metrics"]
    if metrics is None:
        return str(evaluation["status"])
    named = [
        f"{name} {metrics[key]:.4g}" for key, name in _METRICS.items() if metrics[key] is not None
    ]
    return f"done: {', '.join(named)} on {metrics['images']:,} test images"
