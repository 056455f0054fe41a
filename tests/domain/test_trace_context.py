"""Trace ids that follow from correlation ids, and what others' headers say."""

import pytest

from domain.trace_context import Caller, parse_traceparent, trace_id_of, traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_trace_id_is_its_own_trace_and_any_other_id_has_one() -> None:
    assert trace_id_of(TRACE) == TRACE
    assert trace_id_of("ticket 7") == trace_id_of("ticket 7") != trace_id_of("ticket 8")
    assert trace_id_of(trace_id_of("ticket 7")) == trace_id_of("ticket 7")
    assert trace_id_of("0" * 32) != "0" * 32


def test_what_is_written_is_read() -> None:
    header = traceparent("ticket 7", "an event")
    read = parse_traceparent(header)
    assert read is not None
    assert header == f"00-{read.trace_id}-{read.span_id}-01"
    assert read.trace_id == trace_id_of("ticket 7")


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_traceparent_tells_of_nothing(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == Caller(TRACE, SPAN)
