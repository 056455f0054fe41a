"""The route that compares two versions."""

from typing import Literal

from litestar import Controller, get
from litestar.params import FromPath, FromQuery

from api.access.guard import demand
from api.access.rights import needs
from api.evaluation.comparison_views import ComparisonView, comparison_view
from api.evaluation.corrected import CorrectedView, corrected_view
from api.evaluation.evaluated import find_two_evaluated
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.http.schemas import Split
from domain.access.roles import Right
from domain.aggregates import VERSION


class ComparisonController(Controller):
    """Comparisons of two versions."""

    tags = ("Evaluation",)

    @get(
        "/versions/{version_id:str}/compare/{other_id:str}",
        summary="Compare two versions",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def compare_versions(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        other_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        change: FromQuery[Literal["fixed", "broken", "other"] | None] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ComparisonView:
        """Options that differ, both evaluations, differences by concept, and changed images.

        Each version is evaluated at its own thresholds. `warnings` are reasons why metrics may not
        be comparable: other validation images, views or concepts.
        """
        demand(backend, request.user, Right.READ, VERSION.stream(other_id))
        first, second = find_two_evaluated(
            backend, version_id, other_id, at_least=at_least, as_of=as_of
        )
        return comparison_view(
            first, second, split=split, change=change, cursor=cursor, limit=limit
        )

    @get(
        "/versions/{version_id:str}/compare/{other_id:str}/corrected",
        summary="How results of corrected images changed",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_corrected_images(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        other_id: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> CorrectedView:
        """The images whose labels were corrected, from a list of suspects, between the datasets of
        the two versions: the outcome of each before and after, in both splits."""
        demand(backend, request.user, Right.READ, VERSION.stream(other_id))
        first, second = find_two_evaluated(
            backend, version_id, other_id, at_least=at_least, as_of=as_of
        )
        return corrected_view(first, second, cursor=position_in(cursor), limit=limit)
