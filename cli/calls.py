"""Shared parts of commands that call the API: the client, and look-ups by name."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import click

from adapters.settings import load_settings
from cli.client import ApiClient, ApiProblem, ApiUnreachable
from domain.errors import Refusal

PAGE = 500


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
    named = [str(row["project_id"]) for row in rows if row["name"] == project]
    if len(named) > 1:
        raise ApiProblem(f"{len(named)} projects are named {project!r}; give the id of one")
    if named:
        return named[0]
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
        raise ApiProblem(f"there is no project {project!r}")
    return project_id


def view_among(rows: list[dict[str, Any]], view: str) -> str:
    matches = [row["view_id"] for row in rows if view in (row["view_id"], row["name"])]
    if len(matches) != 1:
        raise ApiProblem(f"the project has {len(matches) or 'no'} views {view!r}; give an id")
    return str(matches[0])


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
    """The id of the version with this id, or with these names as PROJECT/VIEW/NAME.

    Raises `ApiProblem`, with the ids where several have the name.
    """
    if version.count("/") < 2:
        return str(client.query(f"versions/{quote(version, safe='')}")["version"]["version_id"])
    view, _, name = version.rpartition("/")
    view_id = find_view(client, view)["view_id"]
    rows = client.query_all("versions", view_id=view_id, name=name, limit=PAGE)
    ids = [str(row["version_id"]) for row in rows if row["name"] == name]
    if len(ids) != 1:
        raise ApiProblem(
            f"{len(ids)} versions of {view!r} are named {name!r}; give one of {', '.join(ids)}"
            if ids
            else f"view {view!r} has no version {name!r}"
        )
    return ids[0]


def find_experiment(client: ApiClient, experiment: str) -> str:
    """The id of the experiment with this id, or with these names as PROJECT/VIEW/NAME."""
    if experiment.count("/") < 2:
        path = f"experiments/{quote(experiment, safe='')}"
        return str(client.query(path)["experiment"]["experiment_id"])
    view, _, name = experiment.rpartition("/")
    view_id = find_view(client, view)["view_id"]
    rows = client.query_all(f"views/{view_id}/experiments", limit=PAGE)
    ids = [str(row["experiment_id"]) for row in rows if row["name"] == name]
    if len(ids) != 1:
        raise ApiProblem(
            f"{len(ids)} experiments of {view!r} are named {name!r}; give one of {', '.join(ids)}"
            if ids
            else f"view {view!r} has no experiment {name!r}"
        )
    return ids[0]
