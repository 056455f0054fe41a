"""What commands that call the API share: the client, and things found by their names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import click

from adapters.settings import load_settings
from cli.client import ApiClient, ApiProblem
from domain.errors import Refusal

PAGE = 500


@contextmanager
def calling() -> Iterator[ApiClient]:
    """The API, called with one's key; what it refuses, or the disk, is said in a line."""
    settings = load_settings()
    try:
        with ApiClient(settings.require("api_url"), settings.require("api_key")) as client:
            yield client
    except (ApiProblem, Refusal, OSError) as problem:
        click.echo(f"stemma: {problem}", err=True)
        sys.exit(1)


def find_project(client: ApiClient, project: str) -> str | None:
    """The id of the project of that name or id."""
    found = client.query_all("projects", name=project, limit=PAGE)
    named = [str(one["project_id"]) for one in found if one["name"] == project]
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


def view_among(known: list[dict[str, Any]], view: str) -> str:
    found = [one["view_id"] for one in known if view in (one["view_id"], one["name"])]
    if len(found) != 1:
        raise ApiProblem(f"the project has {len(found) or 'no'} views {view!r}; give an id")
    return str(found[0])


def find_view(client: ApiClient, view: str) -> dict[str, Any]:
    """The view of that id, or of those names, as PROJECT/VIEW."""
    try:
        found: dict[str, Any] = client.query(f"views/{quote(view, safe='')}")["view"]
        return found
    except ApiProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND or "/" not in view:
            raise
    project, _, name = view.partition("/")
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"there is no project {project!r}")
    known = client.query(f"projects/{project_id}/views")["items"]
    view_id = view_among(known, name)
    return next(one for one in known if one["view_id"] == view_id)
