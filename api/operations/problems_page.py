"""The page that the `type` of a problem leads to."""

from litestar import Controller, get
from litestar.response import Template

from api.access.rights import OPEN
from api.http.problem_types import PAGE, PROBLEM_TYPES, ProblemType
from api.pages.html import Page, render


class ProblemTypesPage(Page, frozen=True, kw_only=True):
    """The kinds of problems."""

    types: tuple[ProblemType, ...]


class ProblemTypePages(Controller):
    """What a client can do about each kind of problem. Public."""

    include_in_schema = False

    @get(PAGE, opt=OPEN, sync_to_thread=True)
    def problem_types(self) -> Template:
        return render("problems.html", ProblemTypesPage(types=PROBLEM_TYPES))
