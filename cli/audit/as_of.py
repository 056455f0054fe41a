"""`stemma audit as-of`: the state of a project, a view's library or a version at a past moment."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
from rich.table import Table

from cli.calls import PAGE, calling, find_project, find_view
from cli.client import ApiClient, ApiProblem
from cli.output import table_console
from cli.reading import NOT_LOOKED
from domain.formatting import moment_of, percent

Ask = Callable[..., dict[str, Any]]


@click.command("as-of")
@click.argument("moment", metavar="POSITION|TIME")
@click.option(
    "--project", help="The images and views of this project: its id, or its current name."
)
@click.option("--view", help="The Models Library of this view: its id, or PROJECT/VIEW by name.")
@click.option("--version", help="A version, by its id.")
def as_of_command(moment: str, project: str | None, view: str | None, version: str | None) -> None:
    """Show the state at a POSITION of the log, or at a TIME such as 2026-03-04T05:06:07Z.

    Without an option, list the projects at that moment.
    """
    if sum(option is not None for option in (project, view, version)) > 1:
        raise click.UsageError("give one of --project, --view and --version")
    with calling(unreachable=NOT_LOOKED) as client:
        # A time is converted to its position once, so that all tables show the same moment.
        position = client.query("projects", as_of=moment, limit=1)["position"]

        def ask(path: str, **parameters: object) -> dict[str, Any]:
            return client.query(path, as_of=position, **parameters)

        if project is not None:
            tables = _project(ask, _id_of(client, project))
        elif view is not None:
            tables = [_library(client, position, str(find_view(client, view)["view_id"]))]
        elif version is not None:
            tables = _version(ask, quote(version, safe=""))
        else:
            projects = client.query_all("projects", as_of=position, limit=PAGE)
            rows = [
                [row["name"], row["project_id"], moment_of(row["created_at"])] for row in projects
            ]
            tables = [_table("projects", ("name", "id", "created"), rows)]
    console = table_console()
    console.print(f"as of position {position}")
    for table in tables:
        console.print(table)


def _id_of(client: ApiClient, project: str) -> str:
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"project {project!r} not found")
    return project_id


ANNOTATED = "annotated train / val. / test"


def _project(ask: Ask, project_id: str) -> list[Table]:
    path = f"projects/{quote(project_id, safe='')}"
    name = ask(path)["project"]["name"]
    dataset = ask(f"{path}/dataset")
    counted = {counts["view_id"]: counts for counts in dataset["views"]}
    images = dataset["counts"]
    totals = [[images["images"], images["train"], images["validation"], images["test"]]]
    views = [
        [
            view["name"] + _archived(view),
            view["view_id"],
            view["kind"],
            _split(counted[view["view_id"]]["annotated"]),
            "\n".join(concept["label"] for concept in view["concepts"]),
        ]
        for view in ask(f"{path}/views", archived="true")["items"]
    ]
    return [
        _table(f"project {name}", ("images", "training", "validation", "test"), totals),
        _table(
            "its views", ("name", "id", "kind", "annotated train / val. / test", "concepts"), views
        ),
    ]


def _library(client: ApiClient, position: int, view_id: str) -> Table:
    path = f"views/{quote(view_id, safe='')}"
    view = client.query(path, as_of=position)["view"]
    library = client.query_all(
        f"{path}/models", as_of=position, archived="true", versions_each=PAGE, limit=20
    )
    rows = [
        [
            row["model"]["name"] + _archived(row["model"]),
            version["name"] + _archived(version),
            version["version_id"],
            _status_text(version),
            version["indicator"],
        ]
        for row in library
        for version in row["versions"] or [_NO_VERSION]
    ]
    columns = ("model", "version", "id", "status", "indicator")
    return _table(f"the Models Library of {view['name']}", columns, rows)


_NO_VERSION = {
    "name": "no version yet",
    "version_id": None,
    "status": "",
    "progress": None,
    "indicator": None,
    "archived": False,
}


def _version(ask: Ask, version_id: str) -> list[Table]:
    version = ask(f"versions/{version_id}")["version"]
    progress = ask(f"versions/{version_id}/progress")["progress"]
    facts = [
        ["status", _status_text(version) + _archived(version)],
        ["reason", version["reason"]],
        ["created", moment_of(version["created_at"])],
        ["ended", moment_of(version["ended_at"])],
        ["images as of", version["log_position"]],
        ["manifest", version["manifest"]],
        ["indicator", version["indicator"]],
        ["checkpoint", version["checkpoint"]],
        ["final weights", version["final_weights"]],
        ["attempt", version["attempt"]],
        ["worker", progress["worker"]],
        ["device", progress["device"]],
    ]
    steps = [
        [step["step"], step["status"], moment_of(step["started_at"]), moment_of(step["ended_at"])]
        for step in progress["steps"]
    ]
    return [
        _table(f"version {version['number']}: {version['name']}", ("", ""), facts),
        _table("its steps", ("step", "status", "started", "ended"), steps),
    ]


def _status_text(version: dict[str, Any]) -> str:
    if version["status"] in ("preparing", "training", "evaluating"):
        return f"{version['status']}, {percent(version['progress'])} done"
    return str(version["status"])


def _archived(row: dict[str, Any]) -> str:
    return " (archived)" if row["archived"] else ""


def _split(count: dict[str, int]) -> str:
    return f"{count['train']} / {count['validation']} / {count['test']}"


def _table(title: str, columns: tuple[str, ...], rows: list[list[Any]]) -> Table:
    table = Table(title=title, show_header=any(columns))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    return table
