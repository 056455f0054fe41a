"""What a client in the past answers: the past, or nothing."""

from __future__ import annotations

from typing import Any

from stemma_client.errors import PresentOnly, ReadOnly
from stemma_client.requests import Request

TIMELESS = frozenset(
    {
        "compare_code",
        "download_checkpoint",
        "download_onnx",
        "download_source",
        "get_about",
        "get_code",
        "get_event_data",
        "get_form",
        "get_import_report",
        "get_latest_checkpoint",
        "get_search_space",
        "get_training_manifest",
        "list_checkpoints",
        "prove_consistency",
        "prove_inclusion",
        "whoami",
    }
)
"""Operations without `as_of` whose answer does not change with time, or is not about the state."""


def check(request: Request[Any], moment: str) -> None:
    """Raise `ReadOnly` for a command, and `PresentOnly` for a query that only knows the present."""
    if request.method != "GET":
        raise ReadOnly(
            f"{request.name} would change the past: call it on the original client, not on the one"
            " from `at`"
        )
    if request.query.get("wait"):
        raise PresentOnly(
            f"{request.name} at {moment} does not change: wait on the original client"
        )
    if "as_of" not in request.accepts and request.name not in TIMELESS:
        raise PresentOnly(
            f"{request.name} knows only the present, not {moment}: call it on the original client,"
            " not on the one from `at`"
        )
