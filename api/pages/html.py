"""Rendering of pages: the template environment, headers, and problems as pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

import msgspec
from jinja2 import StrictUndefined
from litestar import Request, Response
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template

from api.http.problems import Problem
from api.pages.assets import address
from domain.errors import Unauthenticated
from domain.formatting import counted, difference, duration, estimate, moment, number, percent, size
from domain.library.view import CLASSIFICATION
from domain.training.form_controls import plain

HEADERS = {"Cache-Control": "no-store"}
Handler = Callable[[Request[Any, Any, Any], Any], Response[Any]]
OF_A_MOMENT = ("as_of", "at_least", "before", "cursor")
"""The query parameters that are about a moment or a page of a list."""
NOT_PAGES = ("/api/", "/audit/log/", "/health/", "/metrics", "/schema", "/static/")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all pages: the position it reflects, and the API call that returns the same data.

    Both are None on a page without data.
    """

    position: int | None = None
    api: str | None = None


class ProblemPage(Page, frozen=True, kw_only=True):
    """A problem, in place of the requested page."""

    problem: Problem


def render(template: str, page: Page, status_code: int = 200) -> Template:
    """A template response with `page` in its context and the headers of all pages."""
    return Template(
        template,
        context={"page": page},
        headers=HEADERS,
        status_code=status_code,
        media_type="text/html",
    )


def prepare(engine: JinjaTemplateEngine) -> None:
    """Add the filters and globals of the templates; an undefined name is an error."""
    environment = engine.engine
    environment.undefined = StrictUndefined
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.globals["now"] = lambda: datetime.now(UTC)
    environment.globals["static"] = address
    environment.globals["kept"] = kept
    environment.filters |= {
        "ago": ago,
        "counted": counted,
        "estimate": estimate,
        "exact": moment,
        "iso": iso,
        "lasting": duration,
        "number": number,
        "difference": difference,
        "percent": percent,
        "plain": plain,
        "short_digests": short_digests,
        "size": size,
    }


def kept(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The parameters of a page's address that it keeps at another moment."""
    query = request.query_params.multi_items()
    return {name: value for name, value in query if value and name not in OF_A_MOMENT}


def as_pages(handlers: dict[Any, Handler]) -> dict[Any, Handler]:
    """The same handlers, which answer with pages wherever a page was requested."""
    return {kind: _as_page(handler) for kind, handler in handlers.items()}


def _as_page(handler: Handler) -> Handler:
    def answer(request: Request[Any, Any, Any], error: Any) -> Response[Any]:
        response = handler(request, error)
        # A browser that follows a link to the API requests a page, too.
        wants_page = "text/html" in request.headers.get("Accept", "")
        if request.url.path.startswith(NOT_PAGES) and not wants_page:
            return response
        if isinstance(error, Unauthenticated) and request.method == "GET":
            here = quote(
                str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
            )
            return Redirect(
                f"/login?next={here}", status_code=303, headers={"Cache-Control": "no-store"}
            )
        page = ProblemPage(problem=response.content)
        rendered = render("problem.html", page, response.status_code or 500)
        for name, value in response.headers.items():
            rendered.headers[name] = value
        return cast(Response[Any], rendered)

    return answer


def indicator_of(kind: str) -> str:
    """The name of a version's first performance indicator."""
    return "Validation accuracy" if kind == CLASSIFICATION else "Validation mAP"


_SPANS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


def ago(at: datetime, now: datetime | None = None) -> str:
    """A time relative to now, in its largest unit; a date beyond a month."""
    seconds = int(((now or datetime.now(UTC)) - at).total_seconds())
    away = abs(seconds)
    if away < 5:
        return "just now"
    if away >= 30 * 86_400:
        return f"{at.astimezone(UTC):%Y-%m-%d}"
    span, unit = next(entry for entry in _SPANS if away >= entry[0])
    count = away // span
    duration = f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{duration} ago" if seconds > 0 else f"in {duration}"


_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def short_digests(text: str) -> str:
    """A text with the beginning of each sha256 in place of the whole."""
    return _DIGEST.sub(r"\1…", text)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
