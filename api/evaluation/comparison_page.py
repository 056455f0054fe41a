"""The pages that compare two versions: the choice of the second one, and the comparison."""

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from adapters.training.declared_code import CodeComparison, compare_code
from api.access.guard import demand
from api.access.rights import needs
from api.evaluation.comparison_views import ComparisonView, comparison_view
from api.evaluation.corrected import CorrectedView, corrected_view
from api.evaluation.evaluated import find_two_evaluated
from api.evaluation.page import (
    VersionPart,
    find_rows,
    not_evaluated,
    surroundings,
    why_not_evaluated,
)
from api.evaluation.slices import SliceComparisonView, slice_comparison
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served
from api.http.schemas import Split
from api.pages.html import render
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import Conflict
from domain.training.option_facts import differing, facts_to_compare
from projections.dataset.queries import ImageRow
from projections.training.evaluations import EVALUATIONS, find_evaluations
from projections.training.library_queries import VersionFilter, VersionRow, list_versions
from projections.training.models_library import MODELS_LIBRARY

IMAGES_A_PAGE = 48
OTHERS_AT_MOST = 200


class ChooseOtherPage(VersionPart, frozen=True, kw_only=True):
    """The versions of the view with which a version can be compared, newest first."""

    others: list[VersionRow]


class ComparePage(VersionPart, frozen=True, kw_only=True):
    """Two versions; `change` restricts the images to one kind of change. `options` that differ
    have the label of each, and the texts of both."""

    comparison: ComparisonView
    options: list[tuple[str, list[str]]]
    corrected: CorrectedView
    others: list[VersionRow]
    change: str
    slices: SliceComparisonView
    code: CodeComparison | None
    labels: dict[str, str]
    rows: dict[str, ImageRow]
    first: bool
    following: str | None

    def address(self, **others: str) -> str:
        defaults = {"split": "validation", "change": "", "key": ""}
        key = self.slices.key or ""
        query = {"split": self.comparison.split, "change": self.change, "key": key} | others
        return "?" + urlencode({key: v for key, v in query.items() if v != defaults.get(key)})


class ComparePages(Controller):
    """Comparisons."""

    @get(
        "/versions/{version_id:str}/compare",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def choose(
        self, backend: Served, version_id: FromPath[str], at_least: AtLeast = None
    ) -> Template:
        around = surroundings(backend, version_id, at_least)
        if reason := why_not_evaluated(backend, around):
            return not_evaluated(around, reason, "comparison")
        page = ChooseOtherPage(
            **msgspec.structs.asdict(around),
            api=f"/api/v1/versions?view_id={around.view.view_id}",
            others=_others(backend, around.version),
        )
        return render("evaluation/compare_choose.html", page)

    @get(
        "/versions/{version_id:str}/compare/{other_id:str}",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def compare(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        other_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        change: Annotated[str, QueryParameter(pattern="^(fixed|broken|other|)$")] = "",
        key: FromQuery[str] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        demand(backend, request.user, Right.READ, VERSION.stream(other_id))
        around = surroundings(backend, version_id, at_least)
        try:
            first, second = find_two_evaluated(backend, version_id, other_id)
        except Conflict as reason:
            return not_evaluated(around, reason.detail, "comparison")
        comparison = comparison_view(
            first,
            second,
            split=split,
            change=change or None,
            cursor=cursor,
            limit=IMAGES_A_PAGE,
        )
        corrected = corrected_view(first, second, cursor=None, limit=IMAGES_A_PAGE)
        shown = [image.image_id for image in comparison.changed]
        shown += [image.image_id for image in corrected.items]
        query = {"split": split, "change": change, "key": key, "cursor": comparison.next or ""}
        page = ComparePage(
            **msgspec.structs.asdict(around),
            api=f"/api/v1/versions/{version_id}/compare/{other_id}",
            comparison=comparison,
            options=differing(
                [
                    facts_to_compare(
                        around.view.kind, one.options, one.trainer, adopted=one.adopted
                    )
                    for one in (comparison.first, comparison.second)
                ]
            ),
            corrected=corrected,
            others=_others(backend, around.version),
            change=change,
            slices=slice_comparison(first, second, key or None, split),
            code=_code(backend, comparison),
            labels=second.labels | first.labels,
            rows=find_rows(backend, shown),
            first=cursor is None,
            following=f"?{urlencode({k: v for k, v in query.items() if v})}"
            if comparison.next
            else None,
        )
        return render("evaluation/compare.html", page)


def _code(backend: Served, comparison: ComparisonView) -> CodeComparison | None:
    """What differs between the code of trainers; nothing for the built-in training."""
    first, second = comparison.first, comparison.second
    if first.trainer is None and second.trainer is None:
        return None
    return compare_code(backend.store, backend.blobs, first.version_id, second.version_id)


def _others(backend: Served, version: VersionRow) -> list[VersionRow]:
    version_filter = VersionFilter(view_id=version.view_id)
    with backend.reading(None, MODELS_LIBRARY, EVALUATIONS) as (connection, _):
        rows = list_versions(connection, version_filter, limit=OTHERS_AT_MOST)
        evaluations = find_evaluations(connection, [row.version_id for row in rows])
    return [
        row
        for row in rows
        if row.version_id != version.version_id
        and row.version_id in evaluations
        and evaluations[row.version_id].predictions is not None
    ]
