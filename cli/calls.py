"""Shared parts of commands that call the API: the client, and look-ups by name."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import click
import msgspec

from adapters.settings import load_settings
from cli.client import ApiClient, ApiProblem, ApiUnreachable
from domain.errors import Refusal
from domain.formatting import moment_of

PAGE = 500
SHOWN = 20

SET = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="An option, by its key in the form. VALUE is JSON or text. May be repeated.",
)  # fmt: skip


@contextmanager
def calling(*, unreachable: int = 1, exact: bool = False) -> Iterator[ApiClient]:
    """A client of the API with the user's key; refusals and disk errors are reported in a line.

    The exit status is then 1, or `unreachable` where the API does not answer. With `exact`, the
    texts of answers are not escaped for a terminal.
    """
    settings = load_settings()
    url, key = settings.require("api_url"), settings.require("api_key")
    try:
        with ApiClient(url, key, exact=exact) as client:
            yield client
    except (ApiProblem, Refusal, OSError) as problem:
        click.echo(f"stemma: {problem}", err=True)
        sys.exit(unreachable if isinstance(problem, ApiUnreachable) else 1)


def find_project(client: ApiClient, project: str) -> str | None:
    """The id of the project with this name or id."""
    rows = client.query_all("projects", name=project, limit=PAGE)
    named = [row for row in rows if row["name"] == project]
    if len(named) > 1:
        listed = ", ".join(
            f"{row['project_id']} (created {moment_of(row['created_at'])})" for row in named
        )
        raise ApiProblem(f"{len(named)} projects are named {project!r}; give one of {listed}")
    if named:
        return str(named[0]["project_id"])
    try:
        return str(client.query(f"projects/{quote(project, safe='')}")["project"]["project_id"])
    except ApiProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
    return None


def require_project(client: ApiClient, project: str) -> str:
    """The id of the project with this name or id. Raises `ApiProblem`."""
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"project {project!r} not found")
    return project_id


def view_among(rows: list[dict[str, Any]], view: str) -> str:
    """The id of the view with this id or name. Raises `ApiProblem`, with the views there are."""
    matches = [row for row in rows if view in (row["view_id"], row["name"])]
    if len(matches) == 1:
        return str(matches[0]["view_id"])
    if matches:
        listed = ", ".join(f"{row['view_id']} ({row['kind']})" for row in matches)
        raise ApiProblem(f"{len(matches)} views are named {view!r}; give one of {listed}")
    if not rows:
        raise ApiProblem(f"the project has no view {view!r}, and no other view")
    listed = ", ".join(f"{row['name']!r}" for row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    raise ApiProblem(f"the project has no view {view!r}; its views are {listed}{more}")


def find_view(client: ApiClient, view: str, *, archived: bool = False) -> dict[str, Any]:
    """The view with this id, or with these names as PROJECT/VIEW; archived ones on request."""
    try:
        row: dict[str, Any] = client.query(f"views/{quote(view, safe='')}")["view"]
        return row
    except ApiProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND or "/" not in view:
            raise
    project, _, name = view.partition("/")
    path = f"projects/{require_project(client, project)}/views"
    rows: list[dict[str, Any]] = client.query(path, archived=str(archived).lower())["items"]
    view_id = view_among(rows, name)
    return next(row for row in rows if row["view_id"] == view_id)


def find_version(client: ApiClient, version: str) -> str:
    """The id of the version with this id, or with these names as PROJECT/VIEW/NAME."""
    return _find_named(client, "version", version, "versions")


def find_experiment(client: ApiClient, experiment: str) -> str:
    """The id of the experiment with this id, or with these names as PROJECT/VIEW/NAME."""
    return _find_named(client, "experiment", experiment, "views/{}/experiments")


def _find_named(client: ApiClient, what: str, given: str, path: str) -> str:
    """Raises `ApiProblem`, with the ids where several have the name."""
    if given.count("/") < 2:
        return str(client.query(f"{what}s/{quote(given, safe='')}")[what][f"{what}_id"])
    view, _, name = given.rpartition("/")
    view_id = find_view(client, view)["view_id"]
    filters = {"view_id": view_id, "name": name} if path == f"{what}s" else {}
    rows = client.query_all(path.format(view_id), limit=PAGE, **filters)
    ids = [str(row[f"{what}_id"]) for row in rows if row["name"] == name]
    if not ids:
        raise ApiProblem(f"view {view!r} has no {what} {name!r}")
    if len(ids) > 1:
        listed = ", ".join(ids)
        raise ApiProblem(f"{len(ids)} {what}s of {view!r} are named {name!r}; give one of {listed}")
    return ids[0]


def parse_options(settings: Sequence[str]) -> dict[str, Any]:
    """The options of `--set KEY=VALUE`. Raises `click.BadParameter`."""
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--set")
        try:
            options[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            options[key] = text
    return options
