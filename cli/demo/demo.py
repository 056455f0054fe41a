"""`stemma demo`: real handwritten digits through the public API, to a trained version."""

import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cli.access.login import sign_in_address
from cli.client import ApiClient, ApiProblem
from cli.demo.plans import EXPECTED_OF_EXPERIMENT, EXPERIMENT, PLANS, Plan
from cli.demo.project import make_project
from cli.demo.runs import demo_training
from cli.demo.system import demo_system, say_stopped, write_result
from cli.experiments.screen import best_in_words, watch_experiment
from cli.operations import demo_lock
from cli.training.demo_screen import library_table, watch
from domain.formatting import counted, percent
from domain.library.view import CLASSIFICATION

_NAMES = {"accuracy": "accuracy", "mean_average_precision": "mAP", "map_50": "mAP at IoU 0.50"}


class ExperimentResult(msgspec.Struct, frozen=True):
    """What `--json` writes of an experiment."""

    experiment: str
    best: str | None
    accuracy: float | None
    trials: int
    pruned: int
    epochs_trained: int
    epochs_planned: int
    seconds: float


class DemoResult(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    version: str
    kind: str
    status: str
    accuracy: float | None
    mean_average_precision: float | None
    map_50: float | None
    epochs: float
    events: int
    seconds: float


def run_demo(
    *,
    kind: str,
    keep: bool,
    json_file: Path | None,
    epochs: float | None,
    images: int | None,
    seed: int,
) -> int:
    """Run the demo; return the process's exit status, 0 if the version is ready and good enough.

    Fewer epochs or images than by default need not be good enough.
    """
    console = Console()
    plan = PLANS[kind]
    if epochs is not None:
        plan = msgspec.structs.replace(plan, options=plan.options | {"epochs": epochs})
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    try:
        with demo_system(say, keep=keep) as (client, data):
            view_id = make_project(client, console, plan, seed, images)
            training = {"name": "Demo", "options": plan.options | {"seed": seed}}
            path = f"views/{view_id}/versions"
            with demo_training(client, data, path, training, say) as version_id:
                page = sign_in_address(client, f"/versions/{version_id}")
                say(f"Watch it live at {page}")
                watch(client, version_id, console)
            version = client.query(f"versions/{version_id}")["version"]
            console.print(library_table(client.query(f"views/{view_id}/models")))
            result = _result(client, version, plan, began)
            keeps_running = keep or demo_lock.keeps_running(data)
            _farewell(console, client.url, view_id, version, keeps_running)
    except ApiProblem as problem:
        say_stopped(console, problem)
        return 1
    write_result(json_file, result)
    least = _least(plan.expected, epochs, images)
    return 0 if _succeeded(console, version, plan, result, least) else 1


def run_experiment_demo(
    *,
    keep: bool,
    json_file: Path | None,
    epochs: float | None,
    images: int | None,
    trials: int | None,
    seed: int,
) -> int:
    """Search for the best training of single digits; 0 if the best is good enough.

    Fewer epochs, images or trials than by default need not be good enough.
    """
    console = Console()
    plan = PLANS[CLASSIFICATION]
    body = msgspec.structs.asdict(EXPERIMENT) | {"seed": seed}
    if epochs is not None:
        body["options"] = EXPERIMENT.options | {"epochs": epochs}
    if trials is not None:
        body["budget"] = trials
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    try:
        with demo_system(say, keep=keep) as (client, data):
            view_id = make_project(client, console, plan, seed, images)
            path = f"views/{view_id}/experiments"
            with demo_training(client, data, path, body, say) as experiment_id:
                page = sign_in_address(client, f"/experiments/{experiment_id}")
                say(f"Watch it live at {page}")
                row = watch_experiment(client, experiment_id, console)
    except ApiProblem as problem:
        say_stopped(console, problem)
        return 1
    result = _experiment_result(row, began)
    write_result(json_file, result)
    least = _least(EXPECTED_OF_EXPERIMENT, epochs, images, trials)
    return 0 if _found(console, row, result, least) else 1


def _experiment_result(row: dict[str, Any], began: float) -> ExperimentResult:
    conclusion = row["conclusion"]
    return ExperimentResult(
        row["experiment_id"],
        conclusion["best"],
        conclusion["value"],
        row["budget"],
        conclusion["pruned"],
        conclusion["epochs_trained"],
        conclusion["epochs_planned"],
        round(time.monotonic() - began, 1),
    )


def _least(expected: float, *chosen: int | float | None) -> float | None:
    """What a demo has to reach; None if a default was replaced."""
    return expected if all(one is None for one in chosen) else None


def _found(
    console: Console, row: dict[str, Any], result: ExperimentResult, least: float | None
) -> bool:
    value = result.accuracy or 0.0
    if result.best is None or (least is not None and not value >= least):
        below = "" if least is None else f": below {least}"
        console.print(f"[red]{best_in_words(row)}{below}[/red]")
        return False
    saved = 1 - result.epochs_trained / max(result.epochs_planned, 1)
    console.print(
        f"[green]The best of {result.trials} is {best_in_words(row)}, after {result.seconds} s;"
        f" pruning {counted(result.pruned, 'trial')} saved {percent(saved)} of the epochs[/green]"
    )
    console.print(f"`stemma audit experiment {result.experiment}` derives every choice again")
    return True


def _result(client: ApiClient, version: dict[str, Any], plan: Plan, began: float) -> DemoResult:
    metrics = _metrics(client, version)
    return DemoResult(
        version["version_id"],
        plan.kind,
        version["status"],
        metrics.get("accuracy"),
        metrics.get("mean_average_precision"),
        metrics.get("map_50"),
        plan.options["epochs"],
        client.query("status", count="true")["events"],
        round(time.monotonic() - began, 1),
    )


def _metrics(client: ApiClient, version: dict[str, Any]) -> dict[str, Any]:
    """Of the saved checkpoint on the validation images."""
    if version["status"] != "ready":
        return {}
    validation = client.query(f"versions/{version['version_id']}/model.json")["validation"]
    return dict(validation)


def _farewell(
    console: Console, api_url: str, view_id: str, version: dict[str, Any], keeps_running: bool
) -> None:
    checkpoint = f"stemma download {version['version_id']} FOLDER"
    console.print(f"The Models Library: {api_url}/views/{view_id}", soft_wrap=True)
    console.print(f"Its saved checkpoint: `{checkpoint}`", soft_wrap=True)
    if keeps_running:
        console.print(
            "Stemma is still running. `stemma login` signs a browser in, `stemma status` shows"
            " its state, `stemma down` stops it."
        )
    else:
        console.print("`stemma up` starts it again, with this version in it.")


def _succeeded(
    console: Console, version: dict[str, Any], plan: Plan, result: DemoResult, least: float | None
) -> bool:
    if version["status"] != "ready":
        console.print(f"[red]The version is {version['status']}: {version['reason']}[/red]")
        return False
    value = getattr(result, plan.figure) or 0.0
    name = _NAMES[plan.figure]
    if least is not None and not value >= least:  # as NaN is not
        console.print(f"[red]{name} {value:.3f} is below {least}[/red]")
        return False
    console.print(
        f"[green]Ready with {name} {value:.3f} after {result.seconds} s and"
        f" {counted(result.events, 'event')}[/green]"
    )
    return True
