"""The page of access: who you are and your keys, and who else may what."""

from collections.abc import Iterable

from litestar import Controller, get
from litestar.params import FromQuery
from litestar.response import Template

from api.access.accounts import AccountView, HeldRole, accounts_after, held_roles
from api.access.keys import KeyView, key_view
from api.access.rights import ACCOUNT
from api.backend import Backend
from api.http.parameters import HttpRequest, Served
from api.pages.html import Page, render
from application.access.access import Caller
from application.access.accounts import all_of
from domain.access.roles import Right, Role
from domain.aggregates import KEY
from projections.dataset.catalog import CATALOG, find_project, list_projects

ACCOUNTS_A_PAGE = 100
PROJECTS_OFFERED = 200


class AccessPage(Page, frozen=True, kw_only=True):
    """`accounts` are None for somebody who administers nothing; `projects` are those that roles
    may be granted in, as values and labels of a form, and `names` those of projects."""

    caller: Caller
    held: list[HeldRole]
    keys: list[KeyView]
    accounts: list[AccountView] | None
    everything: bool
    projects: list[tuple[str, str]]
    names: dict[str, str]
    first: bool
    following: str | None

    @property
    def roles(self) -> list[tuple[str, str]]:
        return [(role, role) for role in Role]

    def where(self, project_id: str | None) -> str:
        """A project in words; None stands for all."""
        return "all projects" if project_id is None else self.names.get(project_id, project_id)


class AccessPages(Controller):
    """Access."""

    @get("/access", sync_to_thread=True, opt=ACCOUNT)
    def access(
        self, backend: Served, request: HttpRequest, cursor: FromQuery[str] = ""
    ) -> Template:
        caller: Caller = request.user
        shown, following = None, None
        if caller.grants.may_somewhere(Right.ADMINISTER):
            shown, following = accounts_after(backend, caller, cursor, ACCOUNTS_A_PAGE)
        roles, head = held_roles(caller.grants), backend.store.head()
        among = caller.grants.projects(Right.ADMINISTER)
        with backend.reading(None, CATALOG) as (connection, _):
            offered = list_projects(connection, limit=PROJECTS_OFFERED, among=among)
            named = [*roles, *(role for one in shown or () for role in one.roles)]
            names = {one.project_id: one.name for one in offered}
            for project_id in {one.project_id for one in named} - {None, *names}:
                project = find_project(connection, str(project_id))
                names |= {project.project_id: project.name} if project else {}
        page = AccessPage(
            position=head,
            api="/api/v1/whoami" if shown is None else "/api/v1/accounts",
            caller=caller,
            held=roles,
            keys=_keys(backend, caller),
            accounts=shown,
            everything=among is None,
            projects=_choices(among is None, ((one.project_id, one.name) for one in offered)),
            names=names,
            first=not cursor,
            following=following,
        )
        return render("access/access.html", page)


def _keys(backend: Backend, caller: Caller) -> list[KeyView]:
    """The caller's own, those that are revoked left out."""
    return [
        key_view(key_id, key)
        for key_id, key in all_of(backend.store, KEY)
        if key.account_id == caller.account_id and not key.revoked
    ]


def _choices(everything: bool, projects: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [*([("", "all projects")] if everything else []), *projects]
