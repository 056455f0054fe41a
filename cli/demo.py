"""`stemma demo`: real handwritten digits through the public API, to a trained version."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from adapters.processes import spawn, stop_by_degrees
from adapters.settings import load_settings, read_runtime
from cli.client import ApiClient, ApiProblem
from cli.demo_plans import PLANS, Plan
from cli.demo_project import make_project
from cli.demo_screen import library_table, watch
from cli.login import sign_in_address
from cli.up import wait_ready

START_SECONDS = 120.0


_NAMES = {"accuracy": "accuracy", "mean_average_precision": "mAP", "map_50": "mAP at IoU 0.50"}


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
    *, kind: str, keep: bool, json_file: Path | None, epochs: float | None, seed: int
) -> int:
    """Run the demo; return the process's exit status, 0 if the version is ready and good enough."""
    console = Console()
    plan = PLANS[kind]
    if epochs is not None:
        plan = msgspec.structs.replace(plan, options=plan.options | {"epochs": epochs})
    began = time.monotonic()
    try:
        with (
            _everything_running(console, keep) as (api_url, api_key),
            ApiClient(api_url, api_key) as client,
        ):
            view_id = make_project(client, console, plan, seed)
            version_id = _start_training(client, view_id, plan, seed)
            page = sign_in_address(api_url, api_key, f"/versions/{version_id}")
            console.print(f"Watch it live at {page}", soft_wrap=True)
            watch(client, version_id, console)
            version = client.query(f"versions/{version_id}")["version"]
            events = client.query("status", count="true")["events"]
            console.print(library_table(client.query(f"views/{view_id}/models")))
            figures = _figures(client, version)
            result = DemoResult(
                version_id,
                kind,
                version["status"],
                figures.get("accuracy"),
                figures.get("mean_average_precision"),
                figures.get("map_50"),
                plan.options["epochs"],
                events,
                round(time.monotonic() - began, 1),
            )
            _farewell(console, api_url, view_id, version, keep)
    except ApiProblem as problem:
        console.print(f"[red]The demo stopped: {problem}[/red]")
        return 1
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    return 0 if _succeeded(console, version, plan, result) else 1


@contextmanager
def _everything_running(console: Console, keep: bool) -> Iterator[tuple[str, str]]:
    """The API's address and a key, of the `stemma up` there is or of one started for the demo."""
    data = load_settings().data
    found = _running_api(data)
    if found is not None and wait_ready(found[0], 2):
        console.print(f"Using what runs already at {found[0]}")
        yield found
        return
    console.print(f"Starting PostgreSQL, NATS, the parts and a worker in {data}")
    argv = [sys.executable, "-m", "cli.main", "up"]
    log = data / "logs" / "up.log"
    if keep:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            everything = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
    else:
        everything = spawn(argv, log=log)
    try:
        yield _await_ready(everything, data, log)
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            stop_by_degrees(everything, [(signal.SIGTERM, 30), (signal.SIGKILL, 5)])


def _running_api(data: Path) -> tuple[str, str] | None:
    """The address and a key of the API that `stemma up` serves from a data folder, if it does."""
    runtime = read_runtime(data)
    key = os.environ.get("STEMMA_API_KEY") or (runtime.api_key if runtime else None)
    return (runtime.api_url, key) if runtime and key else None


def _await_ready(everything: "subprocess.Popen[bytes]", data: Path, log: Path) -> tuple[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and everything.poll() is None:
        found = _running_api(data)
        if found is not None and wait_ready(found[0], 1):
            return found
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise ApiProblem(f"the parts did not come up; {log} ends with:\n{tail}")


def _start_training(client: ApiClient, view_id: str, plan: Plan, seed: int) -> str:
    """The id of the version, once it can be seen."""
    training = {"name": "Demo", "options": plan.options | {"seed": seed}}
    answer = client.command(f"views/{view_id}/versions", training)
    client.query(f"versions/{answer['id']}", at_least=answer["position"])
    return str(answer["id"])


def _figures(client: ApiClient, version: dict[str, Any]) -> dict[str, Any]:
    """Of the saved checkpoint on the validation images."""
    if version["status"] != "ready":
        return {}
    found = client.query(f"versions/{version['version_id']}/model.json")["validation"]
    return dict(found)


def _farewell(
    console: Console, api_url: str, view_id: str, version: dict[str, Any], keep: bool
) -> None:
    checkpoint = f"stemma download {version['version_id']} FOLDER"
    console.print(f"The Models Library: {api_url}/views/{view_id}", soft_wrap=True)
    console.print(f"Its saved checkpoint: `{checkpoint}`", soft_wrap=True)
    if keep:
        console.print(
            "All of it keeps running. `stemma login` signs a browser in, `stemma status` looks"
            " inside, `stemma down` stops it."
        )
    else:
        console.print("`stemma up` starts all of it again with this version in it.")


def _succeeded(console: Console, version: dict[str, Any], plan: Plan, result: DemoResult) -> bool:
    if version["status"] != "ready":
        console.print(f"[red]The version is {version['status']}: {version['reason']}[/red]")
        return False
    value = getattr(result, plan.figure) or 0.0
    name = _NAMES[plan.figure]
    if value < plan.expected:
        console.print(f"[red]{name} {value:.3f} is below {plan.expected}[/red]")
        return False
    console.print(
        f"[green]Ready with {name} {value:.3f} after {result.seconds} s and"
        f" {result.events:,} events[/green]"
    )
    return True
